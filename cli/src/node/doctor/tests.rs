#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn people_see_what_is_wrong_and_what_to_do() {
    let mut report = Report::default();
    report.ok("keys", "there");
    report.unknown("clock", "nobody says");
    report.fail("disk space", "full", "make room");
    let expected = "ok       keys        there\n\
                    unknown  clock       nobody says\n\
                    FAIL     disk space  full\n                     make room\n";
    assert_eq!(report.text(), expected);
    let failed = end(Ui::default(), &report).unwrap_err();
    assert_eq!(
        (failed.exit, failed.code.as_str()),
        (Exit::Failure, "node.unwell")
    );
    report.findings.pop();
    end(Ui::default(), &report).unwrap();
}

#[test]
fn a_clock_that_nobody_keeps() {
    let grade = |asked| {
        let mut report = Report::default();
        ntp::look(&mut report, asked);
        let finding = report.findings.pop().unwrap();
        assert_eq!(finding.next.is_some(), finding.grade == Grade::Warn);
        (finding.grade, finding.says)
    };
    assert_eq!(grade(Ok(true)).0, Grade::Ok);
    assert_eq!(grade(Ok(false)).0, Grade::Warn);
    let (unknown, says) = grade(Err("no such program".to_owned()));
    assert!(unknown == Grade::Unknown && says.contains("no such program"));
}

#[tokio::test]
async fn this_machine_says_whether_its_clock_is_kept_or_why_it_does_not() {
    if let Err(why) = ntp::is_kept().await {
        assert!(!why.is_empty());
    }
}

#[test]
fn a_full_disk_and_one_that_will_be_full() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = NodeConfig::default();
    config.store.min_free_bytes = 0;
    let grade = |config: &NodeConfig, rate| {
        let mut report = Report::default();
        disk::look(&mut report, config, &folder.path().join("not/there"), rate);
        let space = report.findings.iter().find(|f| f.check == "disk space");
        assert!(
            report
                .findings
                .iter()
                .any(|f| f.check == "disk speed" && f.grade != Grade::Unknown)
        );
        space.unwrap().grade
    };
    assert_eq!(grade(&config, None), Grade::Ok);
    assert_eq!(grade(&config, Some(1)), Grade::Ok);
    assert_eq!(grade(&config, Some(u64::MAX / (1 << 20))), Grade::Fail);
    config.store.min_free_bytes = u64::MAX;
    assert_eq!(grade(&config, None), Grade::Fail);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is left"
    );
}
