//! The part of the list about accounts and payments.

/// Adds the transactions of accounts to the [list](crate::transactions), and hands it on.
#[doc(hidden)]
#[macro_export]
macro_rules! payment_transactions {
    ($receiver:ident { $state:ident, $sender:ident; $($before:tt)* }) => {
        $receiver! {
            $state, $sender; $($before)*

            /// Set on which terms accounts pay dispersers; token, share and notice stay as they were set first.
            "set_payment_terms" SetPaymentTerms {
                service: ServiceId as uint32,
                /// The terms
                #[command(flatten)]
                terms: PaymentTerms as PaymentTerms,
            }
            account "service's owner": "set-payment-terms --service 1 --payment-token $TOKEN --operators-share 20% --row-price 1000gwei --capacity 10000 --notice 7200"
            => {
                $state.check_owner($sender, *service)?;
                $state.set_payment_terms(*service, terms)
            };

            /// Deposit with a disperser, to pay it by vouchers.
            "fund_account" FundAccount {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
                /// How many of the service's payment token
                amount: Amount as uint256,
            }
            account "anybody": "fund-account --service 1 --disperser 0 --amount 1eth"
            => $state.fund_account($sender, *service, *disperser, *amount);

            /// Announce that you take some of a deposit back, in place of what you announced before; 0 takes that back.
            "announce_refund" AnnounceRefund {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
                /// How many tokens; all if left out
                amount: Option<Amount> as uint256,
            }
            account "account": "announce-refund --service 1 --disperser 0 --amount 0.5eth"
            => $state.announce_refund($sender, *service, *disperser, part(*amount));

            /// Take back what was announced, after the notice; all that is left if the disperser closed its accounts.
            "take_refund" TakeRefund {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
            }
            account "account": "take-refund --service 1 --disperser 0"
            => $state.take_refund($sender, *service, *disperser);

            /// Hand in an account's voucher: what it says beyond the highest one before is paid.
            "redeem_voucher" RedeemVoucher {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
                /// Who signed it
                account: Account as address,
                /// All that the account owes by vouchers, ever
                cumulative: Amount as uint256,
                /// The account's signature of the voucher
                #[arg(long = "voucher-signature")]
                signature: AccountSignature as bytes,
            }
            account "anybody": "redeem-voucher --service 1 --disperser 0 --account $ACCOUNT --cumulative 0.1eth --voucher-signature $SIGNATURE"
            => $state.redeem_voucher(*service, *disperser, *account, *cumulative, signature);

            /// Buy rows a second with a disperser, from block to block; as many from the end of a reservation on make it longer.
            "buy_reservation" BuyReservation {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
                /// Rows a second in the long run
                rows_per_second: u32 as uint32,
                /// Rows at once, at most
                burst_rows: u32 as uint32,
                /// The first block that it counts in
                from: Block as uint64,
                /// The first block that it counts in no more
                until: Block as uint64,
                /// What it may cost at most
                most: Amount as uint256,
            }
            account "anybody": "buy-reservation --service 1 --disperser 0 --rows-per-second 10 --burst-rows 256 --from 1000 --until 8200 --most 1eth"
            => $state.buy_reservation(
                $sender,
                *service,
                *disperser,
                &NewReservation {
                    rows_per_second: *rows_per_second,
                    burst_rows: *burst_rows,
                    from: *from,
                    until: *until,
                    most: *most,
                },
            );

            /// Take no more deposits; after the notice accounts take what is left, and you can leave.
            "close_accounts" CloseAccounts {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
            }
            account "disperser": "close-accounts --service 1 --disperser 0"
            => $state.close_accounts($sender, *service, *disperser);
        }
    };
}
