//! The one list of transactions.

/// Hands the list of all transactions to a macro: to the one that makes [`Action`](crate::Action) of it, and to the one of the command line
/// that makes a command of each. Whoever adds a transaction here adds it everywhere, or nothing compiles.
///
/// The list begins with the names that `state` and `sender` have in it. Then, for each transaction:
///
/// ```text
/// /// What it does, for whoever sends it.
/// "name" Struct { fields }
/// group "who may send it": "an example of the command"
/// => what carries it out;
/// ```
///
/// and for each of its fields: help (unless it is only the number of something), `#[arg(…)]` as clap reads it where the option is not just
/// the field's name, `#[command(flatten)]` where it is several options, and `name: RustType as SolidityType`. What carries it out has the
/// fields as references. `by hand` marks those whose command is written out, because another key than the sender's signs a part of them.
///
/// Those of accounts and payments are in a file of their own, at the end.
///
/// Types are looked up where the list is handed to: the command line has its own of the same names where a value is written otherwise.
#[macro_export]
macro_rules! transactions {
    ($receiver:ident) => {
        $crate::payment_transactions! { $receiver {
            state, sender;

            /// Add a strategy: an asset that can be restaked.
            "add_strategy" AddStrategy {
                /// For people, as in stETH
                name: String as string,
                /// What it holds
                kind: StrategyKind as string,
                /// The token's contract; zero for ether
                asset: Account as address,
                /// Who reports its balance
                oracle: Account as address,
            }
            admin "admin": "add-strategy --name stETH --kind lst --asset $TOKEN --oracle $ACCOUNT"
            => {
                state.check_admin(sender)?;
                state.add_strategy(name, *kind, *asset, *oracle)
            };

            /// Set all parameters; what was queued before keeps its delays.
            "set_params" SetParams {
                /// A preset, a preset with delays divided, or a JSON file
                params: Params as Params,
            }
            admin "admin": "set-params --params current/100"
            => {
                state.check_admin(sender)?;
                state.set_params(params)
            };

            /// Name who submits reward roots.
            "set_reward_updater" SetRewardUpdater {
                /// Who
                account: Account as address,
            }
            admin "admin": "set-reward-updater --account $ACCOUNT"
            => {
                state.check_admin(sender)?;
                state.meta.reward_updater = *account;
                state.emit(Event::RewardUpdaterSet { account: *account });
                Ok(())
            };

            /// Report that the strategy's tokens are another number now, in either direction.
            "rebase" Rebase {
                strategy: StrategyId as uint32,
                /// All tokens behind the shares
                balance: Amount as uint256,
            }
            oracle "the strategy's oracle": "rebase --strategy 2 --balance 300eth"
            => state.rebase(sender, *strategy, *balance);

            /// Add tokens to a strategy for nothing in return.
            "donate" Donate {
                strategy: StrategyId as uint32,
                /// How many tokens
                amount: Amount as uint256,
            }
            staker "anybody": "donate --strategy 2 --amount 1eth"
            => state.donate(*strategy, *amount);

            /// Report what a staker's pod and validators hold; less lowers its beacon factor, more is a deposit.
            "beacon_balance" BeaconBalance {
                strategy: StrategyId as uint32,
                /// Whose validators
                staker: Account as address,
                /// All of it
                balance: Amount as uint256,
            }
            oracle "the oracle of native ETH": "beacon-balance --strategy 1 --staker $ACCOUNT --balance 31.5eth"
            => state.beacon_balance(sender, *strategy, *staker, *balance);

            /// Deposit tokens into a strategy; they follow your delegation.
            "deposit" Deposit {
                strategy: StrategyId as uint32,
                /// How many tokens
                amount: Amount as uint256,
            }
            staker "staker": "deposit --strategy 2 --amount 1.5eth"
            => {
                state.strategy_ref(*strategy)?;
                if state.is_native(*strategy) {
                    return Err(TransactionError::NotNative { strategy: *strategy });
                }
                state.deposit(sender, *strategy, *amount).map(drop)
            };

            /// Restake a validator of 32 ETH.
            "add_validator" AddValidator {
                strategy: StrategyId as uint32,
                /// Its index on the beacon chain
                validator: u64 as uint64,
            }
            staker "staker": "add-validator --strategy 1 --validator 1234567"
            => state.add_validator(sender, *strategy, *validator).map(drop);

            /// Delegate all your stake, now and later, to one operator.
            "delegate" Delegate {
                operator: OperatorId as bytes32,
            }
            staker "staker": "delegate --operator $OPERATOR"
            => state.delegate(sender, *operator);

            /// End your delegation: all your stake is queued, one withdrawal a strategy.
            "undelegate" Undelegate {}
            staker "staker": "undelegate"
            => state.undelegate(sender).map(drop);

            /// Undelegate, and delegate to another operator; complete the withdrawals as shares to move the stake.
            "redelegate" Redelegate {
                operator: OperatorId as bytes32,
            }
            staker "staker": "redelegate --operator $OPERATOR"
            => state.redelegate(sender, *operator);

            /// Queue a withdrawal; it can be slashed until its delay is over.
            "queue_withdrawal" QueueWithdrawal {
                strategy: StrategyId as uint32,
                /// Deposit shares; all if left out
                shares: Option<Amount> as uint256,
            }
            staker "staker": "queue-withdrawal --strategy 2 --shares 1eth"
            => state.queue_withdrawal(sender, *strategy, part(*shares)).map(drop);

            /// Take a withdrawal whose delay is over, as tokens or as shares.
            "complete_withdrawal" CompleteWithdrawal {
                /// Its number
                withdrawal: u64 as uint64,
                /// Deposit it again, with your present operator, instead of taking tokens
                as_shares: bool as bool,
            }
            staker "staker": "complete-withdrawal --withdrawal 1"
            => state.complete(sender, *withdrawal, *as_shares).map(drop);

            /// Become an operator; your own stake is delegated to it.
            "register_operator" RegisterOperator by hand {
                /// Keystore of the BLS key; opened to sign the proof of possession, and the statement of account, network key and
                /// address
                #[arg(long = "bls-key")]
                bls_public_key: PublicKeyBytes as bytes,
                /// That whoever registers the key has it
                proof_of_possession: SignatureBytes as bytes,
                /// Keystore of the network key (only its public part is read), or the public key
                network_key: NetworkPublicKey as bytes32,
                /// Where the node listens, host:port
                address: String as string,
                /// By the BLS key: the [`OperatorStatement`](ashlar_proto::registration::OperatorStatement) of this account,
                /// network key and address, with the sequence 0.
                statement: SignatureBytes as bytes,
                /// Blocks from an increase of an allocation until it is slashable
                #[arg(default_value = "0")]
                allocation_delay: u64 as uint64,
            }
            operator "anybody who is not delegated": "register-operator --bls-key bls.json --bls-password-file password --network-key network.json --address node-1.example.org:7100"
            => state.register_operator(
                sender,
                &NewOperator {
                    bls_public_key,
                    proof_of_possession,
                    network_key: *network_key,
                    address,
                    statement,
                    allocation_delay: *allocation_delay,
                },
            );

            /// Change where the node listens, or its network key.
            "update_operator" UpdateOperator by hand {
                /// Keystore of the new network key, or the public key; as it is if left out
                network_key: NetworkPublicKey as bytes32,
                /// The new host:port; as it is if left out
                address: String as string,
                /// By the BLS key: the statement of the new network key and address, with the operator's next sequence.
                statement: SignatureBytes as bytes,
            }
            operator "operator": "update-operator --bls-key bls.json --bls-password-file password --address node-2.example.org:7100"
            => {
                let id = state.operator_of(sender)?;
                state.update_operator(id, *network_key, address, statement)
            };

            /// Announce another allocation delay.
            "set_allocation_delay" SetAllocationDelay {
                /// The delay in blocks
                blocks: u64 as uint64,
            }
            operator "operator": "set-allocation-delay --blocks 7200"
            => {
                let id = state.operator_of(sender)?;
                state.set_allocation_delay(id, *blocks)
            };

            /// Announce your share of a service's rewards (10% if you never did).
            "set_fee_split" SetFeeSplit {
                service: ServiceId as uint32,
                /// Your share, before the stakers'
                #[arg(long = "split")]
                bps: Bps as uint16,
            }
            operator "operator": "set-fee-split --service 1 --split 5%"
            => {
                let id = state.operator_of(sender)?;
                state.set_fee_split(id, *service, *bps)
            };

            /// Set the part of your stake in a strategy that a quorum can slash.
            "allocate" Allocate {
                service: ServiceId as uint32,
                quorum: QuorumId as uint8,
                strategy: StrategyId as uint32,
                /// The part; 0% ends it
                magnitude: Wad as uint64,
            }
            operator "operator": "allocate --service 1 --quorum 0 --strategy 2 --magnitude 40%"
            => {
                let id = state.operator_of(sender)?;
                state.allocate((id, *strategy, *service, *quorum), *magnitude)
            };

            /// Join a quorum; if it is full, in place of the smallest.
            "opt_in" OptIn {
                service: ServiceId as uint32,
                quorum: QuorumId as uint8,
            }
            operator "operator": "opt-in --service 1 --quorum 0"
            => {
                let id = state.operator_of(sender)?;
                state.opt_in(id, *service, *quorum)
            };

            /// Leave a quorum; you can be slashed for the deallocation delay still.
            "opt_out" OptOut {
                service: ServiceId as uint32,
                quorum: QuorumId as uint8,
            }
            operator "operator": "opt-out --service 1 --quorum 0"
            => {
                let id = state.operator_of(sender)?;
                state.opt_out(id, *service, *quorum)
            };

            /// Take no more delegations and join nothing any more.
            "retire_operator" RetireOperator {}
            operator "operator": "retire-operator"
            => {
                let id = state.operator_of(sender)?;
                state.retire(id)
            };

            /// Register a service that operators can secure.
            "register_service" RegisterService {
                /// For people
                name: String as string,
                /// For what it slashes; @FILE reads a file. Cannot be changed later
                conditions: Text as string,
                /// Who slashes
                slasher: Account as address,
                /// Who may veto a slash; nobody if left out
                resolver: Option<Account> as address,
                /// Blocks in which the resolver may
                #[arg(default_value = "0")]
                veto_window: u64 as uint64,
                /// The most that one slash takes of an allocation
                #[arg(default_value = "100%")]
                slash_cap: Wad as uint64,
                /// Who ejects
                ejector: Account as address,
                /// A protocol version that it uses; several times, rising
                #[arg(long = "version", default_value = "1")]
                versions: Vec<u16> as uint16[],
                /// On which terms anybody can be its disperser.
                #[command(flatten)]
                dispersers: DisperserTerms as DisperserTerms,
                /// On which terms its operators can be challenged to show what they hold; without them (all zero, in the
                /// signed struct) they cannot.
                #[command(flatten)]
                custody: Option<CustodyTerms> as CustodyTerms,
            }
            service "anybody": "register-service --name da --conditions @conditions.txt --slasher $ACCOUNT --ejector $ACCOUNT --slash-cap 50% --disperser-token $TOKEN --disperser-bond 10eth"
            => state.register_service(
                sender,
                &NewService {
                    name,
                    conditions,
                    slasher: *slasher,
                    resolver: somebody(*resolver),
                    veto_window: *veto_window,
                    slash_cap: *slash_cap,
                    ejector: *ejector,
                    versions,
                    dispersers: *dispersers,
                    custody: custody.filter(|terms| *terms != CustodyTerms::default()),
                },
            );

            /// Use a protocol version from a later block on.
            "activate_version" ActivateVersion {
                service: ServiceId as uint32,
                /// The version
                version: u16 as uint16,
                /// The first block of a batch of it
                from: Block as uint64,
            }
            service "service's owner": "activate-version --service 1 --version 2 --from 100000"
            => {
                state.check_owner(sender, *service)?;
                state.activate_version(*service, *version, *from)
            };

            /// Add a quorum: which assets count, and who gets in.
            "add_quorum" AddQuorum {
                service: ServiceId as uint32,
                quorum: QuorumId as uint8,
                /// Its rules
                #[command(flatten)]
                config: QuorumConfig as QuorumConfig,
            }
            service "service's owner": "add-quorum --service 1 --quorum 0 --multiplier 1=1 --multiplier 2=1.05 --minimum-weight 10eth"
            => {
                state.check_owner(sender, *service)?;
                state.add_quorum(*service, *quorum, config)
            };

            /// Set multipliers and add strategies; none can be taken away, but its multiplier can be 0.
            "set_multipliers" SetMultipliers {
                service: ServiceId as uint32,
                quorum: QuorumId as uint8,
                /// What counts, and how much a share of it weighs; several times, strategies rising
                #[arg(long = "multiplier", required = true)]
                strategies: Vec<QuorumStrategy> as QuorumStrategy[],
            }
            service "service's owner": "set-multipliers --service 1 --quorum 0 --multiplier 1=1 --multiplier 2=1.04"
            => {
                state.check_owner(sender, *service)?;
                state.set_multipliers(*service, *quorum, strategies)
            };

            /// Announce another slasher.
            "set_slasher" SetSlasher {
                service: ServiceId as uint32,
                /// Who slashes from then on
                slasher: Account as address,
            }
            service "service's owner": "set-slasher --service 1 --slasher $ACCOUNT"
            => {
                state.check_owner(sender, *service)?;
                state.set_slasher(*service, *slasher)
            };

            /// Become a disperser of a service, against a bond.
            "register_disperser" RegisterDisperser by hand {
                service: ServiceId as uint32,
                /// What it is on the network, and signs batches with
                network_key: NetworkPublicKey as bytes32,
                /// By the network key: the [`DisperserStatement`](ashlar_proto::registration::DisperserStatement) of this
                /// account.
                statement: NetworkSignature as bytes,
                /// What it loses for two batches under one sequence; comes back after it left
                bond: Amount as uint256,
            }
            disperser "anybody": "register-disperser --service 1 --network-key network.json --network-password-file password --bond 10eth"
            => state.register_disperser(sender, *service, *network_key, statement, *bond);

            /// Add to a disperser's bond.
            "top_up_disperser" TopUpDisperser {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
                /// How much
                amount: Amount as uint256,
            }
            disperser "disperser": "top-up-disperser --service 1 --disperser 0 --amount 1eth"
            => state.top_up_disperser(sender, *service, *disperser, *amount);

            /// Leave the tables; the bond comes back after the deallocation delay.
            "exit_disperser" ExitDisperser {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
            }
            disperser "disperser": "exit-disperser --service 1 --disperser 0"
            => state.exit_disperser(sender, *service, *disperser);

            /// Burn a disperser's bond, for a fault whose evidence was checked.
            "slash_disperser" SlashDisperser {
                service: ServiceId as uint32,
                disperser: u32 as uint32,
                /// Name of the evidence
                evidence_hash: B256 as bytes32,
                /// Why, for everybody to read
                reason: String as string,
            }
            service "service's slasher": "slash-disperser --service 1 --disperser 0 --evidence-hash $HASH --reason 'two batches under one sequence'"
            => state.slash_disperser(sender, *service, *disperser, *evidence_hash, reason);

            /// Remove an operator for bad service; nothing is slashed.
            "eject" Eject {
                service: ServiceId as uint32,
                quorum: QuorumId as uint8,
                operator: OperatorId as bytes32,
            }
            service "service's ejector": "eject --service 1 --quorum 0 --operator $OPERATOR"
            => state.eject(sender, *service, *quorum, *operator);

            /// Slash an operator, or ask for it if the service has a veto window.
            "slash" Slash {
                service: ServiceId as uint32,
                quorum: QuorumId as uint8,
                operator: OperatorId as bytes32,
                /// Which part of which allocation; several times, strategies rising
                #[arg(long = "part", required = true)]
                parts: Vec<SlashPart> as SlashPart[],
                /// Why, for everybody to read
                reason: String as string,
            }
            service "service's slasher": "slash --service 1 --quorum 0 --operator $OPERATOR --part 2=50% --reason 'signed two batches'"
            => state.slash(
                sender,
                &Slash {
                    service: *service,
                    quorum: *quorum,
                    operator: *operator,
                    parts,
                    reason,
                    fault: None,
                },
            );

            /// The same, for a fault whose evidence was checked; each fault once.
            "slash_by_evidence" SlashByEvidence {
                service: ServiceId as uint32,
                quorum: QuorumId as uint8,
                /// Which part of which allocation; several times, strategies rising
                #[arg(long = "part", required = true)]
                parts: Vec<SlashPart> as SlashPart[],
                /// The fault
                #[command(flatten)]
                fault: FaultRecord as FaultRecord,
                /// Why, for everybody to read
                reason: String as string,
            }
            service "service's slasher": "slash-by-evidence --service 1 --quorum 0 --operator $OPERATOR --part 2=100% --fault-kind double-signing --evidence-hash $HASH --reason 'two batches under one sequence'"
            => state.slash(
                sender,
                &Slash {
                    service: *service,
                    quorum: *quorum,
                    operator: fault.operator,
                    parts,
                    reason,
                    fault: Some(*fault),
                },
            );

            /// Ask an operator to show an element, which the ledger picks, of a blob that it signed for.
            "open_challenge" OpenChallenge {
                service: ServiceId as uint32,
                operator: OperatorId as bytes32,
                /// The blob's certificate, which shows that the operator owes it
                #[serde(with = "bytes")]
                certificate: Encoded as bytes,
                /// What the operator gets for an answer; it comes back if there is none
                bond: Amount as uint256,
            }
            service "anybody": "open-challenge --service 1 --operator $OPERATOR --certificate blob.cert --bond 0.01eth"
            => state.open_challenge(sender, *service, *operator, certificate, *bond);

            /// Show the element that a challenge asks for.
            "answer_challenge" AnswerChallenge {
                /// Number of the challenge
                challenge: u64 as uint64,
                /// The answer, as evidence answer makes it
                #[serde(with = "bytes")]
                answer: Encoded as bytes,
            }
            service "anybody": "answer-challenge --challenge 1 --answer answer.bin"
            => state.answer_challenge(*challenge, answer);

            /// End a slash request.
            "veto_slash" VetoSlash {
                /// Number of the slash request
                request: u64 as uint64,
            }
            service "service's resolver": "veto-slash --request 1"
            => state.veto(sender, *request);

            /// Execute a slash request after its veto window.
            "execute_slash" ExecuteSlash {
                /// Number of the slash request
                request: u64 as uint64,
            }
            service "service's slasher": "execute-slash --request 1"
            => state.execute_request(sender, *request);

            /// Show a head that the source of tables signed and that contradicts the ledger.
            "submit_head" SubmitHead {
                service: ServiceId as uint32,
                /// The head's block
                block: Block as uint64,
                /// The head's time, in milliseconds
                time_ms: u64 as uint64,
                /// The head's table root
                table_root: TableRoot as bytes32,
                /// The signature of the head key
                #[arg(long = "head-signature")]
                signature: AccountSignature as bytes,
            }
            service "anybody": "submit-head --service 1 --block 100 --time-ms 1700000000000 --table-root $HASH --head-signature $SIGNATURE"
            => state.submit_head(*service, *block, *time_ms, *table_root, signature);

            /// Hand over what the present head key signed about its successor.
            "rotate_head_key" RotateHeadKey {
                /// The new key's account
                successor: Account as address,
                /// The first block whose head it signs
                from_block: Block as uint64,
                /// The signature of the head key
                #[arg(long = "head-signature")]
                signature: AccountSignature as bytes,
            }
            admin "anybody": "rotate-head-key --successor $ACCOUNT --from-block 100 --head-signature $SIGNATURE"
            => state.rotate_head_key(*successor, *from_block, signature);

            /// Pay tokens in for rewards.
            "pay_reward" PayReward {
                service: ServiceId as uint32,
                /// The token's contract
                token: Account as address,
                /// How many tokens
                amount: Amount as uint256,
                /// What for
                #[arg(default_value = "fee")]
                kind: RewardKind as string,
            }
            rewards "service's owner": "pay-reward --service 1 --token $TOKEN --amount 100eth --kind bounty"
            => {
                state.check_owner(sender, *service)?;
                state.pay_reward(*service, *token, *amount, *kind)
            };

            /// Submit a new root of cumulative earnings.
            "submit_root" SubmitRoot {
                /// The distribution's root
                root: B256 as bytes32,
            }
            rewards "reward updater": "submit-root --root $HASH"
            => {
                state.check_updater(sender)?;
                state.submit_root(*root)
            };

            /// Withdraw a root that does not pay yet.
            "disable_root" DisableRoot {
                /// Its number
                root: u64 as uint64,
            }
            rewards "reward updater": "disable-root --root 1"
            => {
                state.check_updater(sender)?;
                state.disable_root(*root)
            };

            /// Pay an earner what a root says beyond what it got before.
            "claim_reward" ClaimReward {
                /// The claim with its Merkle paths, as whoever made the distribution hands it out; - reads standard input
                claim: RewardClaim as RewardClaim,
            }
            rewards "anybody": "claim-reward --claim claim.json"
            => state.claim_reward(claim);

            /// Create a liquid restaking vault; the seed is a deposit that stays in it for ever.
            "create_vault" CreateVault {
                /// For people
                name: String as string,
                strategy: StrategyId as uint32,
                /// Tokens that stay
                seed: Amount as uint256,
                /// Part of the rewards that is the manager's
                #[arg(long = "fee", default_value = "10%")]
                fee_bps: Bps as uint16,
                /// Who gets the fee, in shares
                fee_recipient: Account as address,
                /// A report raises the rate by this at most
                #[arg(long = "cap-up", default_value = "25")]
                cap_up_bps: Bps as uint16,
                /// A report lowers the rate by this at most
                #[arg(long = "cap-down", default_value = "3")]
                cap_down_bps: Bps as uint16,
                /// Part of the stake that goes to an operator; several times, 100% together
                #[arg(long = "to", required = true)]
                profile: Vec<ProfilePart> as ProfilePart[],
            }
            vault "anybody": "create-vault --name ashETH --strategy 2 --seed 1eth --fee-recipient $ACCOUNT --to $OPERATOR=100%"
            => state.create_vault(
                sender,
                &NewVault {
                    name,
                    strategy: *strategy,
                    seed: *seed,
                    fee_bps: *fee_bps,
                    fee_recipient: *fee_recipient,
                    cap_up_bps: *cap_up_bps,
                    cap_down_bps: *cap_down_bps,
                    profile,
                },
            );

            /// Set the risk profile: how the stake is spread over operators.
            "set_profile" SetProfile {
                vault: VaultId as uint32,
                /// Part of the stake that goes to an operator; several times, 100% together
                #[arg(long = "to", required = true)]
                profile: Vec<ProfilePart> as ProfilePart[],
            }
            vault "vault's manager": "set-profile --vault 1 --to $OPERATOR=100%"
            => {
                state.check_manager(sender, *vault)?;
                state.set_profile(*vault, profile)
            };

            /// Deposit tokens for vault shares.
            "vault_deposit" VaultDeposit {
                vault: VaultId as uint32,
                /// How many tokens
                amount: Amount as uint256,
            }
            vault "anybody": "vault-deposit --vault 1 --amount 2eth"
            => state.vault_deposit(sender, *vault, *amount);

            /// Ask for so many tokens, or for what all your shares are worth.
            "vault_request_withdrawal" VaultRequestWithdrawal {
                vault: VaultId as uint32,
                /// Tokens; all if left out
                amount: Option<Amount> as uint256,
            }
            vault "holder": "vault-request-withdrawal --vault 1 --amount 0.5eth"
            => state.vault_request(sender, *vault, part(*amount));

            /// Finalise requests, first come, first served, at one rate.
            "vault_finalize" VaultFinalize {
                vault: VaultId as uint32,
                /// How many at most
                #[arg(default_value = "100")]
                count: u32 as uint32,
            }
            vault "anybody": "vault-finalize --vault 1 --count 10"
            => state.vault_finalize(*vault, *count);

            /// Take what a final request pays.
            "vault_claim_withdrawal" VaultClaimWithdrawal {
                vault: VaultId as uint32,
                /// Its number
                request: u64 as uint64,
            }
            vault "holder": "vault-claim-withdrawal --vault 1 --request 1"
            => state.vault_claim(sender, *vault, *request);

            /// Give vault shares to another account.
            "vault_transfer" VaultTransfer {
                vault: VaultId as uint32,
                /// Who gets them
                to: Account as address,
                /// How many shares
                shares: Amount as uint256,
            }
            vault "holder": "vault-transfer --vault 1 --to $ACCOUNT --shares 1eth"
            => state.vault_transfer(sender, *vault, *to, *shares);

            /// Stake what is at hand and not asked for, by the risk profile.
            "vault_stake" VaultStake {
                vault: VaultId as uint32,
                /// A new validator, for native ETH; several times
                #[arg(long = "validator")]
                validators: Vec<u64> as uint64[],
            }
            vault "vault's manager": "vault-stake --vault 1"
            => {
                state.check_manager(sender, *vault)?;
                state.vault_stake(*vault, validators)
            };

            /// Queue a withdrawal of the vault's from an operator.
            "vault_unstake" VaultUnstake {
                vault: VaultId as uint32,
                operator: OperatorId as bytes32,
                /// Deposit shares; all if left out
                shares: Option<Amount> as uint256,
            }
            vault "vault's manager": "vault-unstake --vault 1 --operator $OPERATOR --shares 1eth"
            => {
                state.check_manager(sender, *vault)?;
                state.vault_unstake(*vault, *operator, part(*shares))
            };

            /// Take a matured withdrawal of the vault's into its buffer.
            "vault_collect" VaultCollect {
                vault: VaultId as uint32,
                /// Its number
                withdrawal: u64 as uint64,
            }
            vault "anybody": "vault-collect --vault 1 --withdrawal 3"
            => state.vault_collect(*vault, *withdrawal);

            /// Take gains and losses since the last report into the rate, within the caps.
            "vault_report" VaultReport {
                vault: VaultId as uint32,
            }
            vault "anybody": "vault-report --vault 1"
            => state.vault_report(*vault);

            /// Note points or incentives for the vault's holders; each source once.
            "vault_source" VaultSource {
                vault: VaultId as uint32,
                /// Names the source: the hash of what announced it
                source: B256 as bytes32,
                /// What it is
                kind: RewardKind as string,
                /// The token's contract
                token: Account as address,
                /// How many
                amount: Amount as uint256,
            }
            vault "vault's manager": "vault-source --vault 1 --source $HASH --kind points --token $TOKEN --amount 500eth"
            => {
                state.check_manager(sender, *vault)?;
                state.vault_source(*vault, *source, *kind, *token, *amount)
            };

            /// Take what a vault earned in a token into the next distribution to its holders.
            "vault_distribute" VaultDistribute {
                vault: VaultId as uint32,
                /// The token's contract
                token: Account as address,
            }
            vault "reward updater": "vault-distribute --vault 1 --token $TOKEN"
            => {
                state.check_updater(sender)?;
                state.vault_distribute(*vault, *token)
            };
        } }
    };
}
