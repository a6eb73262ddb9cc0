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
    let of = |synchronised, millis| {
        let max_error = std::time::Duration::from_millis(millis);
        grade(Ok(ntp::Discipline {
            synchronised,
            max_error,
        }))
    };
    assert_eq!(of(true, 40).0, Grade::Ok);
    let (far, says) = of(true, 4000);
    assert!(far == Grade::Warn && says.contains("4.00 s"), "{says}");
    assert_eq!(of(false, 16_000).0, Grade::Warn);
    assert_eq!(of(false, 0).0, Grade::Warn);
    let forbidden = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    assert_eq!(grade(Err(forbidden)).0, Grade::Unknown);
    // The kernel of this machine says something, unless a sandbox forbids the question. It allows itself 16 s at most.
    match ntp::Discipline::of_this_machine() {
        Ok(of) => assert!(of.max_error.as_secs() <= 17, "{of:?}"),
        Err(error) => {
            let forbidden = [nix::libc::EPERM, nix::libc::ENOSYS].map(Some);
            assert!(forbidden.contains(&error.raw_os_error()), "{error}");
        }
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
