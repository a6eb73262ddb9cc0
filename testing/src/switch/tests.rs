#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const C: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

const SLOW: Link = Link {
    delay: ms(100),
    ..Link::PERFECT
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A packet of 100 bytes with a number in it.
fn packet(to: Ipv4Addr, number: u8) -> Vec<u8> {
    let mut packet = vec![0; 100];
    packet[0] = 0x45;
    packet[16..20].copy_from_slice(&to.octets());
    packet[99] = number;
    packet
}

/// Everything that arrives, with the time of it.
fn all(switch: &mut Switch) -> Vec<(Duration, Ipv4Addr, u8)> {
    let mut arrived = Vec::new();
    while let Some(at) = switch.next_arrival() {
        assert!(at.is_zero() || switch.take(at - Duration::from_nanos(1)).is_none());
        let (to, packet) = switch.take(at).unwrap();
        arrived.push((at, to, packet[99]));
    }
    arrived
}

/// 200 packets, a millisecond apart, from A to B.
fn run(seed: u64, link: Link) -> Vec<(Duration, Ipv4Addr, u8)> {
    let mut switch = Switch::new(seed, link);
    (0..200u8).for_each(|n| switch.send(ms(n.into()), A, packet(B, n)));
    all(&mut switch)
}

fn numbers(arrived: &[(Duration, Ipv4Addr, u8)]) -> Vec<u8> {
    arrived.iter().map(|(.., number)| *number).collect()
}

#[test]
fn a_packet_arrives_after_the_delay_at_the_host_that_it_names() {
    let mut switch = Switch::new(1, SLOW);
    switch.send(ms(5), A, packet(B, 1));
    switch.send(ms(6), B, packet(C, 2));
    assert_eq!(all(&mut switch), [(ms(105), B, 1), (ms(106), C, 2)]);
    assert_eq!(switch.take(ms(1000)), None);
}

#[test]
fn what_is_no_ipv4_packet_goes_nowhere() {
    let mut switch = Switch::new(1, Link::PERFECT);
    let mut ipv6 = packet(B, 1);
    ipv6[0] = 0x60;
    for packet in [vec![], vec![0x45; 19], ipv6] {
        switch.send(ms(0), A, packet);
    }
    assert_eq!(switch.next_arrival(), None);
    assert_eq!(switch.count(), Count::default());
}

#[test]
fn a_seed_repeats_everything_and_another_one_does_not() {
    let link = Link {
        jitter: ms(30),
        loss: 0.1,
        held: 0.1,
        hold: ms(20),
        ..SLOW
    };
    assert_eq!(run(7, link), run(7, link));
    assert_ne!(run(7, link), run(8, link));
}

#[test]
fn the_luck_of_a_pair_does_not_depend_on_others() {
    let link = Link { loss: 0.3, ..SLOW };
    let mut switch = Switch::new(7, link);
    for n in 0..200u8 {
        switch.send(ms(n.into()), C, packet(B, 255));
        switch.send(ms(n.into()), A, packet(B, n));
        switch.send(ms(n.into()), B, packet(A, 255));
    }
    let arrived = numbers(&all(&mut switch));
    let ours: Vec<u8> = arrived.into_iter().filter(|n| *n != 255).collect();
    assert_eq!(ours, numbers(&run(7, link)));
}

#[test]
fn the_share_that_is_lost_is_the_one_asked_for() {
    let mut switch = Switch::new(3, Link { loss: 0.02, ..SLOW });
    for n in 0..50_000u64 {
        switch.send(ms(n), A, packet(B, 0));
    }
    let Count { sent, lost, cut } = switch.count();
    assert_eq!((sent, cut), (50_000, 0));
    assert!((850..1150).contains(&lost), "{lost}");
    assert_eq!(all(&mut switch).len() as u64, sent - lost);
}

#[test]
fn jitter_spreads_arrivals_and_keeps_their_order() {
    let arrived = run(
        1,
        Link {
            jitter: ms(30),
            ..SLOW
        },
    );
    assert_eq!(numbers(&arrived), (0..200).collect::<Vec<u8>>());
    for (at, _, n) in &arrived {
        let late = *at - ms(u64::from(*n) + 100);
        assert!(late <= ms(30), "{late:?}");
    }
    assert!(
        arrived
            .iter()
            .any(|(at, _, n)| *at > ms(u64::from(*n) + 115))
    );
}

#[test]
fn packets_that_are_held_back_are_overtaken() {
    let arrived = run(
        1,
        Link {
            held: 0.1,
            hold: ms(20),
            ..SLOW
        },
    );
    assert_eq!(arrived.len(), 200);
    let late = |(at, _, n): &&(Duration, Ipv4Addr, u8)| *at == ms(u64::from(*n) + 120);
    let held = arrived.iter().filter(late).count();
    assert!((5..40).contains(&held), "{held}");
    assert!(!numbers(&arrived).is_sorted());
}

#[test]
fn a_slow_line_sends_one_after_another_and_loses_what_does_not_fit_its_queue() {
    // 100 bytes take 100 ms, and five of them may be there.
    let link = Link {
        rate: Some(1000),
        queue: 500,
        ..SLOW
    };
    let mut switch = Switch::new(1, link);
    (0..8).for_each(|n| switch.send(ms(0), A, packet(B, n)));
    // By then two have left.
    (8..12).for_each(|n| switch.send(ms(200), A, packet(B, n)));
    // The other direction is free.
    switch.send(ms(0), B, packet(A, 99));
    let at = |n: u64| ms(200 + n * 100);
    let expected = [
        (at(0), B, 0),
        (at(0), A, 99),
        (at(1), B, 1),
        (at(2), B, 2),
        (at(3), B, 3),
        (at(4), B, 4),
        (at(5), B, 8),
        (at(6), B, 9),
    ];
    assert_eq!(all(&mut switch), expected);
    assert_eq!(switch.count().lost, 5);
}

#[test]
fn a_pair_s_link_goes_before_a_host_s_and_that_before_everybody_s() {
    let mut switch = Switch::new(1, SLOW);
    switch.set_host(C, Link::PERFECT);
    let slower = Link {
        delay: ms(500),
        ..SLOW
    };
    switch.set_pair(A, C, slower);
    switch.send(ms(0), A, packet(B, 1));
    switch.send(ms(0), B, packet(C, 2));
    switch.send(ms(0), C, packet(A, 3));
    switch.send(ms(0), A, packet(C, 4));
    let expected = [
        (ms(0), C, 2),
        (ms(0), A, 3),
        (ms(100), B, 1),
        (ms(500), C, 4),
    ];
    assert_eq!(all(&mut switch), expected);
    switch.set_all(slower);
    switch.send(ms(0), A, packet(B, 5));
    assert_eq!(all(&mut switch), [(ms(500), B, 5)]);
}

#[test]
fn a_partition_cuts_between_its_sides_until_it_is_healed() {
    let mut switch = Switch::new(1, SLOW);
    switch.send(ms(0), A, packet(B, 1));
    switch.part(&[&[A], &[B]]);
    switch.send(ms(1), A, packet(B, 2));
    switch.send(ms(1), B, packet(A, 3));
    // C is on no side.
    switch.send(ms(2), A, packet(C, 4));
    switch.send(ms(3), C, packet(B, 5));
    switch.heal();
    switch.send(ms(4), A, packet(B, 6));
    assert_eq!(numbers(&all(&mut switch)), [1, 4, 5, 6]);
    assert_eq!(switch.count().cut, 2);
}
