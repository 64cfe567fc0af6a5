//! The path of a packet allocates nothing once a stream runs.
#![allow(
    unsafe_code,
    reason = "a counting allocator must implement the unsafe trait GlobalAlloc; it only forwards to the system's"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{address, config, epoch, ms, rtp, tone};
use media::resample::Rate;
use media::srtp::SrtpContext;
use media::{
    AnsweringDetector, AnsweringTerms, Codec, ItemKey, SrtpConfig, SrtpSuite, Stream,
    TRANSMIT_BYTES_MAX,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is forwarded unchanged to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// Five seconds of a callee: voice as far as levels go, a pause, a beep.
#[test]
fn listening_for_who_answered_allocates_nothing() {
    let mut frames = vec![[0_i16; 160]; 250];
    for (index, frame) in frames.iter_mut().enumerate() {
        let hertz = if (150..170).contains(&index) {
            1_000.0
        } else {
            120.0
        };
        if index % 9 < 6 || (150..170).contains(&index) {
            media::tone::Sine::new(hertz, 6_000.0).fill(frame);
        }
    }
    let mut detector = AnsweringDetector::new(AnsweringTerms::default(), Rate::Hz8000);
    let before = allocations();
    let mut events = 0;
    for (at, frame) in (0_u64..).step_by(20).zip(&frames) {
        events += u32::from(detector.frame(at, frame).is_some());
    }
    events += u32::from(detector.pass(20_000).is_some());
    assert_eq!(allocations() - before, 0);
    assert!(events > 0, "it said something");
}

/// Ten seconds of packets in, packets out, frames, recording, loss, disorder and reports after a warm-up.
fn run(secure: bool, echo: bool) -> u64 {
    let peer = address(9, 6_000);
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let key: Vec<u8> = (0..30).collect();
    let mut configured = config(Codec::Pcmu, Some(peer));
    configured.srtp = secure.then(|| SrtpConfig {
        suite,
        local_key: key.clone(),
        remote_key: key.clone(),
    });
    configured.treatment.echo_cancellation = echo;
    let mut context = SrtpContext::new(suite, &key).expect("the key has the length of the suite");
    let now = epoch();
    let mut stream = Stream::new(now, configured, 1);
    stream.set_recording(true);
    stream.start(now);
    let item = ItemKey::from("item");
    stream
        .playout()
        .push(&item, &tone(Codec::Pcmu, 440.0, 30_000))
        .expect("half a minute fits");
    let payload = tone(Codec::Pcmu, 300.0, 20);
    let packet = |sequence: u16| rtp(sequence, u32::from(sequence) * 160, 7, &payload);
    let mut buffer = [0; TRANSMIT_BYTES_MAX];
    let (mut counted, mut frames) = (0, 0);
    for index in 0..600_u16 {
        // Every 50th is lost, every 20th swapped with its neighbour.
        let sequence = match index % 20 {
            7 => index + 1,
            8 => index - 1,
            _ => index,
        };
        let mut data = packet(sequence);
        if secure {
            data.resize(182, 0);
            context
                .protect_rtp(&mut data, 172)
                .expect("the buffer has room for the tag");
        }
        let at = now + ms(u64::from(index) * 20);
        let before = allocations();
        stream.handle_timeout(at);
        if index % 50 != 13 {
            stream.handle_rtp(at, peer, &mut data);
        }
        while stream.poll_transmit(&mut buffer).is_some() {}
        while stream.poll_frame().is_some() {
            frames += 1;
        }
        while stream.poll_recording().is_some() {}
        while stream.poll_event().is_some() {}
        let _ = stream.poll_timeout();
        if index >= 100 {
            counted += allocations() - before;
        }
    }
    assert!(frames > 590, "{frames}");
    counted
}

/// The same for a codec that is not carried as it is, without loss: packets that a stream of ours made.
fn run_wide(codec: Codec) -> u64 {
    let peer = address(9, 6_000);
    let now = epoch();
    let mut stream = Stream::new(now, config(codec, Some(peer)), 1);
    stream.set_recording(true);
    stream.start(now);
    let item = ItemKey::from("item");
    stream
        .playout()
        .push(&item, &tone(codec, 440.0, 30_000))
        .expect("half a minute fits");
    let mut buffer = [0; TRANSMIT_BYTES_MAX];
    let mut counted = 0;
    for index in 0..600_u16 {
        let at = now + ms(u64::from(index) * 20);
        let before = allocations();
        stream.handle_timeout(at);
        while let Some(transmit) = stream.poll_transmit(&mut buffer) {
            if !transmit.rtcp {
                stream.handle_rtp(at, peer, &mut buffer[..transmit.len]);
            }
        }
        while stream.poll_frame().is_some() {}
        while stream.poll_recording().is_some() {}
        while stream.poll_event().is_some() {}
        if index >= 100 {
            counted += allocations() - before;
        }
    }
    counted
}

#[test]
fn no_allocation_on_the_path_of_a_coded_packet() {
    assert_eq!(run_wide(Codec::G722), 0);
    // The encoder of the crate copies a frame for its own detectors: three small allocations a packet, and no more.
    let opus = run_wide(Codec::Opus);
    assert!(opus <= 3 * 500, "{opus}");
    assert_eq!(run_wide(Codec::G729), 0);
    // Its encoder and its decoder work with lists of their own: 33 small ones a packet, and no more.
    let amr = run_wide(Codec::AmrWb);
    assert!(amr <= 36 * 500, "{amr}");
}

#[test]
fn no_allocation_on_the_path_of_a_packet() {
    assert_eq!(run(false, false), 0);
}

#[test]
fn no_allocation_on_the_path_of_a_protected_packet() {
    assert_eq!(run(true, false), 0);
}

#[test]
fn taking_the_echo_out_allocates_nothing() {
    assert_eq!(run(false, true), 0);
}

#[test]
fn three_on_one_line_allocate_nothing() {
    let peer = address(9, 6_000);
    let now = epoch();
    let mut stream = Stream::new(now, config(Codec::Pcmu, Some(peer)), 1);
    stream.set_company(true);
    stream.start(now);
    let mut mixer: media::Mixer<3> = media::Mixer::new();
    let (mut said, mut buffer) = (Vec::with_capacity(1_600), [0; TRANSMIT_BYTES_MAX]);
    let before = allocations();
    for index in 0..500_u64 {
        for seat in 0..3 {
            mixer.push(seat, [1_000; 320]);
        }
        mixer.tick();
        let mut frame = [0; 320];
        mixer.hear(|seat| seat != 0, &mut frame);
        stream.push_company(&[0x20; 160]);
        stream.handle_timeout(now + ms(index * 20));
        while stream.poll_transmit(&mut buffer).is_some() {}
        while stream.poll_event().is_some() {}
        said.clear();
        stream.take_said(&mut said);
    }
    assert_eq!(allocations() - before, 0);
}
