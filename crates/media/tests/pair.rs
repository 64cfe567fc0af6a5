//! Two streams back to back: tone in is tone out, playout is exact, reports say what happened.

use crate::common::{Network, Pair, tone};
use media::tone::purity;
use media::{Codec, ItemKey, PlayoutEvent, StreamEvent};

#[test]
fn a_tone_pushed_at_one_end_is_heard_at_the_other() {
    let mut pair = Pair::plain(
        Network {
            delay_ms: 30,
            ..Network::default()
        },
        2,
    );
    let item = ItemKey::from("item_1");
    pair.run_ms(100);
    let audio = tone(Codec::Pcmu, 440.0, 1_010);
    pair.ends[0].stream.playout().push(&item, &audio).unwrap();
    pair.ends[0].stream.playout().finish(&item);
    pair.run_ms(1_900);
    let heard = &pair.ends[1].heard;
    // One frame a tick from the first on: 2 s less the delay.
    assert!(
        (98 * 160..=100 * 160).contains(&heard.len()),
        "{}",
        heard.len() / 160
    );
    let loud = heard.iter().position(|sample| sample.abs() > 500).unwrap();
    assert!(purity(&heard[loud..loud + 8_000], 440.0) > 0.98);
    assert!(
        heard[loud + 8_160..]
            .iter()
            .all(|sample| sample.abs() < 100)
    );
    assert!(pair.ends[1].concealed.iter().all(|concealed| !concealed));
    let playout: Vec<_> = pair.ends[0]
        .events
        .iter()
        .filter(|event| matches!(event, StreamEvent::Playout(_)))
        .collect();
    let expected = [
        StreamEvent::Playout(PlayoutEvent::Started {
            item: ItemKey::clone(&item),
        }),
        StreamEvent::Playout(PlayoutEvent::Finished {
            item: ItemKey::clone(&item),
            played_ms: 1_010,
        }),
        StreamEvent::Playout(PlayoutEvent::Drained),
    ];
    assert_eq!(playout, expected.iter().collect::<Vec<_>>());
    let statistics = pair.statistics(1);
    assert_eq!(
        (statistics.packets_lost, statistics.refused_packets),
        (0, 0)
    );
}
