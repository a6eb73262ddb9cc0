use super::*;

#[test]
fn every_value_reaches_the_commented_file() {
    let mut config = LedgerConfig::default();
    let below_the_head = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        below_the_head(&commented(&config)),
        below_the_head(&LedgerConfig::example())
    );
    config.paths.data = "elsewhere".into();
    config.listen.http = "127.0.0.1:0".parse().unwrap();
    config.blocks.interval_ms = 50;
    config.access.open = true;
    config.access.accounts = vec![Account([7; 20]), Account([8; 20])];
    config.accept.events = 77;
    config.evidence.slasher = Account([9; 20]);
    let text = commented(&config);
    assert_eq!(LedgerConfig::parse(&text).unwrap(), config);
    // Every key is there with its comment, as in the example.
    assert_eq!(
        text.lines().count(),
        LedgerConfig::example().lines().count()
    );
}
