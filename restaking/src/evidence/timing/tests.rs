#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_proto::{VERSIONS, version};

use super::*;

/// 9 + 2 + 2 + 1 = 14 days, to the second.
#[test]
fn the_defaults_fit_exactly() {
    for version in VERSIONS.iter() {
        assert_eq!(check_timing(version, &Timing::default()), Ok(()));
    }
    let v1 = version(1).unwrap();
    let default = Timing::default();
    for timing in [
        Timing {
            response_secs: default.response_secs + 1,
            ..default
        },
        Timing {
            veto_secs: default.veto_secs + 1,
            ..default
        },
        Timing {
            margin_secs: default.margin_secs + 1,
            ..default
        },
        Timing {
            withdrawal_secs: default.withdrawal_secs - 1,
            ..default
        },
        Timing {
            deallocation_secs: default.deallocation_secs - 1,
            ..default
        },
    ] {
        assert_eq!(
            check_timing(v1, &timing).unwrap_err().code(),
            "timing.stake_gone"
        );
    }
}

#[test]
fn seven_days_of_escrow_are_too_short() {
    let classic = Timing {
        withdrawal_secs: 7 * DAY,
        ..Timing::default()
    };
    let error = check_timing(version(1).unwrap(), &classic).unwrap_err();
    assert_eq!(
        error,
        TimingError::StakeGone {
            slashable: 7 * DAY,
            needed: 14 * DAY
        }
    );
}

#[test]
fn the_data_has_to_be_there_too() {
    let v1 = version(1).unwrap();
    let slow = Timing {
        response_secs: 5 * DAY + 1,
        withdrawal_secs: u64::MAX,
        deallocation_secs: u64::MAX,
        ..Timing::default()
    };
    assert_eq!(
        check_timing(v1, &slow).unwrap_err().code(),
        "timing.data_gone"
    );
    assert_eq!(
        check_timing(
            v1,
            &Timing {
                response_secs: 5 * DAY,
                ..slow
            }
        ),
        Ok(())
    );
    let never = Timing {
        response_secs: 0,
        ..slow
    };
    assert_eq!(check_timing(v1, &never), Err(TimingError::NoResponse));
    let huge = Timing {
        response_secs: DAY,
        veto_secs: u64::MAX,
        margin_secs: u64::MAX,
        withdrawal_secs: 1,
        ..slow
    };
    assert_eq!(
        check_timing(v1, &huge).unwrap_err().code(),
        "timing.stake_gone"
    );
}
