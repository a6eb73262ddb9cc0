use super::*;

fn read<F: Form + FromStr>(text: &str) -> Result<F::Value, String>
where
    F::Err: std::fmt::Display,
{
    let form = F::from_str(text).map_err(|error| error.to_string())?;
    form.value().map_err(|error| error.to_string())
}

#[test]
fn texts_become_values() {
    let operator = OperatorId([0x22; 32]);
    assert_eq!(
        read::<Amount>("1.5eth").unwrap().to_string(),
        "1500000000000000000"
    );
    assert_eq!(read::<Wad>("50%").unwrap(), ledger::Wad::percent(50));
    assert_eq!(read::<Bps>("2.5%").unwrap(), 250);
    assert_eq!(read::<Churn>("250").unwrap(), 250);
    let multiplier = read::<QuorumStrategy>("2=1.05").unwrap();
    assert_eq!(multiplier.strategy, 2);
    assert_eq!(multiplier.multiplier.to_string(), "1050000000000000000");
    let part = read::<SlashPart>("2=100%").unwrap();
    assert_eq!((part.strategy, part.wad), (2, ledger::Wad::ONE));
    assert_eq!(
        read::<ProfilePart>(&format!("{operator}=60%")).unwrap(),
        (operator, 6000)
    );
}

#[test]
fn wrong_texts_are_refused() {
    assert!(read::<Account>("0x12").is_err());
    assert!(read::<OperatorId>("alice").is_err());
    assert!(read::<ProfilePart>("60%").is_err());
    assert!(read::<QuorumStrategy>("2").is_err());
    assert!(read::<SlashPart>("2=1").is_err());
    assert!(read::<AccountSignature>("0x12").is_err());
    assert!(NetworkPublicKey("0x12".to_owned()).value().is_err());
}

#[test]
fn presets() {
    assert_eq!(params("current").unwrap(), ledger::Params::current());
    let fast = params("classic/100").unwrap();
    assert_eq!(fast, ledger::Params::classic().faster(100));
    fast.check().unwrap();
    assert!(params("current/x").is_err());
    assert!(params("/nowhere/params.json").is_err());
}
