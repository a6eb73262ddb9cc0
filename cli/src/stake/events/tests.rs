use super::*;
use ashlar_proto::Account;
use ashlar_restaking::{Amount, Wad};

#[test]
fn amounts_and_parts_are_readable() {
    let account = Account([0x11; 20]);
    let text = lines(&[
        Event::Deposited {
            staker: account,
            strategy: 2,
            amount: Amount::ether(3),
            shares: Amount::ether(2),
        },
        Event::Penalised {
            staker: account,
            factor: Wad::percent(75),
            shares: Amount::ZERO,
        },
    ]);
    assert_eq!(
        text,
        format!(
            "  deposited  amount=3  shares=2  staker={account}  strategy=2\n  penalised  factor=75%  shares=0  staker={account}\n"
        )
    );
}
