use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_broken_quorum_is_probed_with_growing_pauses_until_it_works() {
    let breaker = Breaker::default();
    let mut now = Instant::now();
    assert_eq!(breaker.passage(&[0, 1], now), Passage::Open);
    breaker.broke([1], now);
    assert_eq!(breaker.passage(&[0], now), Passage::Open);
    for quorums in [&[1][..], &[0, 1]] {
        assert_eq!(breaker.passage(quorums, now), Passage::Closed);
    }
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let mut pause = Duration::ZERO;
        while breaker.passage(&[1], now + pause) == Passage::Closed {
            pause += Duration::from_millis(50);
        }
        assert_eq!(breaker.passage(&[0, 1], now + pause), Passage::Probe);
        pauses.push(pause);
        now += pause;
        // The probe fails; so does what was sent before, which counts no more.
        breaker.broke([1], now);
        breaker.broke([1], now);
        assert_eq!(breaker.passage(&[1], now), Passage::Closed);
    }
    assert!(
        pauses[0] <= Duration::from_secs(1) && pauses[7] > MINUTE / 3,
        "{pauses:?}"
    );
    assert!(
        pauses
            .iter()
            .all(|pause| *pause <= MINUTE + Duration::from_millis(50))
    );
    assert_eq!(breaker.broken_of(&[0, 1]), [1]);
    breaker.works(&[0, 1]);
    assert_eq!(breaker.passage(&[0, 1], now), Passage::Open);
    assert!(breaker.broken_of(&[0, 1]).is_empty());
}
