//! The reconciler at simulated time.

use std::time::{Duration, Instant};

use super::*;

mod processes;

const WELL: Health = Health {
    registered: Some(true),
    engine: true,
    media: true,
    alive: true,
    memory: Memory::Within,
};
const LOST: Health = Health {
    registered: Some(false),
    ..WELL
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A reconciler with a clock, and a world that does what the steps say where a test does not take over.
#[expect(clippy::struct_excessive_bools, reason = "each is a way to fail")]
struct World {
    reconciler: Reconciler,
    start: Instant,
    now: Instant,
    /// `12.0 starting>running`, `12.0 raise line afresh`…
    log: Vec<String>,
    /// What the world answers by itself.
    engine: bool,
    registrar: bool,
    hangs: bool,
    silent: bool,
    /// Its processes answer nothing, but the look ends.
    stalled: bool,
    unusable: bool,
    memory: Memory,
}

impl World {
    fn new(policy: Policy, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            reconciler: Reconciler::new(policy, seed),
            start,
            now: start,
            log: Vec::new(),
            engine: true,
            registrar: true,
            hangs: false,
            silent: false,
            stalled: false,
            unusable: false,
            memory: Memory::Within,
        }
    }

    fn at(&self) -> f64 {
        (self.now - self.start).as_secs_f64()
    }

    fn desired(&mut self, all: &[(&str, u64, bool)]) {
        self.desired_as_read(all, self.now);
    }

    fn desired_as_read(&mut self, all: &[(&str, u64, bool)], read_at: Instant) {
        let all: Vec<Desired> = all
            .iter()
            .map(|(id, revision, stopped)| Desired {
                id: (*id).to_owned(),
                revision: *revision,
                stopped: *stopped,
                usable: !self.unusable,
            })
            .collect();
        self.reconciler
            .handle(self.now, Input::Desired(&all, read_at));
        self.run();
    }

    fn order(&mut self, id: &str, order: Order) {
        self.reconciler.handle(self.now, Input::Order(id, order));
        self.run();
    }

    fn report(&mut self, id: &str, report: Report) {
        let run = self.reconciler.agents[id].run;
        self.reconciler
            .handle(self.now, Input::Report(id, run, report));
        self.run();
    }

    /// Does the steps, and answers at once.
    fn run(&mut self) {
        while let Some(step) = self.reconciler.poll_step() {
            let at = self.at();
            let (id, run, report) = match step {
                Step::Raise {
                    id,
                    run,
                    part,
                    afresh,
                } => {
                    let word = if afresh { " afresh" } else { "" };
                    self.log.push(format!("{at:.3} raise {part:?}{word}"));
                    let report = match (part, self.engine, self.registrar) {
                        (Part::Voice, false, _) => Report::NotUp(part, Cause::Engine),
                        (Part::Line, _, false) => Report::NotUp(part, Cause::Registration),
                        (Part::Voice, true, _) | (Part::Line, _, true) => Report::Up(part),
                    };
                    (id, run, report)
                }
                Step::Lower { id, run } => {
                    self.log.push(format!("{at:.3} lower"));
                    (id, run, Report::Lowered)
                }
                Step::Check { id, run } => {
                    if self.hangs {
                        continue;
                    }
                    let health = Health {
                        registered: Some(self.registrar),
                        engine: self.engine,
                        media: true,
                        alive: !self.stalled,
                        memory: self.memory,
                    };
                    (id, run, Report::Checked(health))
                }
                Step::Kill { .. } => {
                    self.log.push(format!("{at:.3} kill"));
                    continue;
                }
                Step::Forget { .. } => {
                    self.log.push(format!("{at:.3} forget"));
                    continue;
                }
                Step::Changed {
                    from, to, cause, ..
                } => {
                    let why = cause.map_or(String::new(), |cause| format!(" {}", cause.label()));
                    let (from, to) = (from.label(), to.label());
                    self.log.push(format!("{at:.3} {from}>{to}{why}"));
                    continue;
                }
            };
            if !self.silent {
                self.reconciler
                    .handle(self.now, Input::Report(&id, run, report));
            }
        }
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.reconciler.poll_timeout()
            && at <= end
        {
            assert!(at >= self.now, "a deadline in the past");
            self.now = at;
            self.reconciler.handle(self.now, Input::Timeout);
            self.run();
        }
        self.now = end;
    }

    fn state(&self) -> State {
        self.agent().state
    }

    fn agent(&self) -> Snapshot {
        self.reconciler.agent("a").expect("it exists")
    }

    fn transitions(&self) -> Vec<&str> {
        let states = self.log.iter().filter(|line| line.contains('>'));
        states
            .map(|line| line.split_once(' ').expect("a time").1)
            .collect()
    }
}

fn running() -> World {
    let mut world = World::new(Policy::default(), 1);
    world.desired(&[("a", 1, false)]);
    assert_eq!(world.state(), State::Running);
    world
}

#[test]
fn it_comes_up_in_the_order_of_dependency_and_goes_down_in_the_other() {
    let mut world = running();
    world.order("a", Order::Stop);
    assert_eq!(
        world.log,
        [
            "0.000 stopped>starting",
            "0.000 raise Voice",
            "0.000 raise Line",
            "0.000 starting>running",
            "0.000 lower",
            "0.000 running>stopping",
            "0.000 kill",
            "0.000 stopping>stopped",
        ]
    );
}

#[test]
fn a_list_that_was_read_before_an_order_does_not_undo_it() {
    let mut world = running();
    world.pass(seconds(1));
    let read_at = world.now;
    world.pass(seconds(1));
    world.order("a", Order::Stop);
    world.desired_as_read(&[("a", 1, false)], read_at);
    assert_eq!(world.state(), State::Stopped);
    // Another node's operator started it since.
    world.pass(seconds(1));
    world.desired(&[("a", 1, false)]);
    assert_eq!(world.state(), State::Running);
    let read_at = world.now;
    world.pass(seconds(1));
    world.order("a", Order::Stop);
    world.order("a", Order::Start);
    world.desired_as_read(&[("a", 1, true)], read_at);
    assert_eq!(world.state(), State::Running);
}

#[test]
fn the_ceilings_of_the_pauses_double_from_a_second_to_five_minutes() {
    let policy = Policy::default();
    let ceilings: Vec<u64> = (0..12).map(|n| policy.ceiling(n).as_secs()).collect();
    assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(policy.ceiling(u32::MAX), seconds(300));
}

#[test]
fn the_jitter_is_full() {
    let policy = Policy::default();
    let mut random = Choice::new(5);
    for attempt in 0..10 {
        let ceiling = policy.ceiling(attempt);
        let pauses: Vec<Duration> = (0..2_000)
            .map(|_| policy.pause(attempt, &mut random))
            .collect();
        let mean = pauses.iter().sum::<Duration>() / 2_000;
        assert!(pauses.iter().all(|pause| *pause <= ceiling));
        assert!(pauses.iter().any(|pause| *pause < ceiling / 50));
        assert!(pauses.iter().any(|pause| *pause > ceiling * 49 / 50));
        assert!(
            mean > ceiling * 45 / 100 && mean < ceiling * 55 / 100,
            "{mean:?}"
        );
    }
}

#[test]
fn five_failures_make_it_failed_and_each_pause_is_the_one_of_the_seed() {
    let mut world = World::new(Policy::default(), 7);
    world.registrar = false;
    world.desired(&[("a", 1, false)]);
    // The same numbers, drawn beside.
    let (policy, mut random) = (Policy::default(), Choice::new(7));
    let mut at = Duration::ZERO;
    let mut expected = vec!["0.000 stopped>starting".to_owned()];
    for attempt in 0..4 {
        let now = at.as_secs_f64();
        expected.push(format!("{now:.3} starting>unhealthy registration"));
        at += policy.pause(attempt, &mut random);
        expected.push(format!(
            "{:.3} unhealthy>starting registration",
            at.as_secs_f64()
        ));
    }
    expected.push(format!(
        "{:.3} starting>failed registration",
        at.as_secs_f64()
    ));
    world.pass(seconds(20));
    let states: Vec<_> = world
        .log
        .iter()
        .filter(|line| line.contains('>'))
        .cloned()
        .collect();
    assert_eq!(states, expected);
    let agent = world.agent();
    assert_eq!(
        (agent.failures, agent.restarts, agent.cause),
        (5, 4, Some(Cause::Registration))
    );
    assert_eq!(agent.retry_at, Some(world.start + at + seconds(900)));
    // Each restart after a lost registration registers anew.
    let afresh = world
        .log
        .iter()
        .filter(|line| line.ends_with("raise Line afresh"))
        .count();
    assert_eq!(afresh, 4);
}

#[test]
fn a_failed_agent_is_tried_each_quarter_of_an_hour_and_stays_failed_until_it_is_up() {
    let mut world = World::new(Policy::default(), 7);
    world.engine = false;
    world.desired(&[("a", 1, false)]);
    world.pass(seconds(20));
    assert_eq!(world.state(), State::Failed);
    let first = world.agent().retry_at.expect("it is tried again");
    world.log.clear();
    world.pass(first - world.now + seconds(1_801));
    let at = |extra: u64| (first - world.start + seconds(extra)).as_secs_f64();
    let expected: Vec<String> = [0, 900, 1_800]
        .iter()
        .flat_map(|extra| {
            [
                format!("{:.3} raise Voice", at(*extra)),
                format!("{:.3} failed>starting engine", at(*extra)),
                format!("{:.3} starting>failed engine", at(*extra)),
            ]
        })
        .collect();
    let mut log = world.log.clone();
    log.sort();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(log, sorted);
    world.engine = true;
    world.pass(seconds(900));
    assert_eq!(world.state(), State::Running);
    assert_eq!(world.agent().cause, None);
}

#[test]
fn failures_that_are_far_apart_do_not_add_up_but_lengthen_the_pauses() {
    let mut world = running();
    for round in 0..8_u32 {
        // Longer than two minutes apart: never five within ten.
        world.pass(seconds(151));
        world.report("a", Report::Died);
        assert_eq!(world.state(), State::Unhealthy, "round {round}");
        let pause = world.agent().retry_at.expect("a restart") - world.now;
        assert!(pause <= Policy::default().ceiling(round));
        world.pass(seconds(300));
        assert_eq!(world.state(), State::Running);
    }
    assert_eq!(world.agent().restarts, 8);
}

#[test]
fn ten_healthy_minutes_forget_what_was() {
    let mut world = running();
    for _ in 0..4 {
        world.report("a", Report::Died);
        world.pass(seconds(9));
        assert_eq!(world.state(), State::Running);
    }
    assert_eq!(world.reconciler.agents["a"].attempt, 4);
    world.pass(seconds(540));
    assert_eq!(world.reconciler.agents["a"].attempt, 4, "not before");
    world.pass(seconds(100));
    assert_eq!(world.reconciler.agents["a"].attempt, 0);
    assert_eq!((world.agent().failures, world.agent().restarts), (0, 4));
    world.report("a", Report::Died);
    let pause = world.agent().retry_at.expect("a restart") - world.now;
    assert!(pause <= seconds(1), "the pauses begin anew: {pause:?}");
}

#[test]
fn it_is_looked_at_every_thirty_seconds() {
    let mut world = running();
    let mut seen = Vec::new();
    for _ in 0..300 {
        world.pass(seconds(1));
        if let Some(at) = world.agent().checked_at
            && seen.last() != Some(&at)
        {
            seen.push(at);
        }
    }
    assert!(seen.len() >= 9, "{}", seen.len());
    assert!(seen[0] <= world.start + seconds(30));
    assert!(seen.windows(2).all(|two| two[1] - two[0] == seconds(30)));
}

#[test]
fn agents_that_start_together_are_not_looked_at_together() {
    let mut world = World::new(Policy::default(), 3);
    let names: Vec<String> = (0..100).map(|n| format!("a{n}")).collect();
    let all: Vec<(&str, u64, bool)> = names.iter().map(|name| (name.as_str(), 1, false)).collect();
    world.desired(&all);
    world.pass(seconds(15));
    let looked = world
        .reconciler
        .agents()
        .filter(|agent| agent.checked_at.is_some())
        .count();
    assert!((25..75).contains(&looked), "{looked}");
}

#[test]
fn a_lost_registrar_is_unhealthy_then_failed_and_comes_back_by_itself() {
    let mut world = running();
    world.registrar = false;
    world.pass(seconds(60));
    assert_eq!(world.state(), State::Failed);
    // The line's own attempts succeed long before the next slow retry.
    world.registrar = true;
    world.log.clear();
    world.pass(seconds(31));
    assert_eq!(world.transitions(), ["failed>running"]);
    assert_eq!(world.agent().retry_at, None);
}

#[test]
fn an_agent_that_does_not_answer_is_killed_and_begun_anew() {
    let mut world = running();
    world.hangs = true;
    world.pass(seconds(30));
    let asked = world.reconciler.agents["a"].check_by.expect("it was asked") - seconds(10);
    world.hangs = false;
    world.log.clear();
    world.pass(seconds(12));
    let hung = (asked - world.start + seconds(10)).as_secs_f64();
    assert_eq!(
        world.log[..2],
        [
            format!("{hung:.3} kill"),
            format!("{hung:.3} running>unhealthy hung")
        ]
    );
    assert_eq!(world.state(), State::Running);
    assert_eq!(world.agent().restarts, 1);
}

#[test]
fn what_says_nothing_while_it_comes_up_has_its_bounds() {
    let mut world = World::new(Policy::default(), 1);
    world.silent = true;
    world.desired(&[("a", 1, false)]);
    assert_eq!(
        world.reconciler.poll_timeout(),
        Some(world.start + seconds(15))
    );
    world.report("a", Report::Up(Part::Voice));
    assert_eq!(
        world.reconciler.poll_timeout(),
        Some(world.start + seconds(30))
    );
    world.pass(seconds(30));
    assert_eq!(world.agent().cause, Some(Cause::Registration));
    assert!(world.log.contains(&"30.000 kill".to_owned()));
}

#[test]
fn a_word_of_an_earlier_run_is_not_heard() {
    let mut world = running();
    let old = world.reconciler.agents["a"].run;
    world.report("a", Report::Died);
    world.pass(seconds(1));
    assert_eq!(world.state(), State::Running);
    world
        .reconciler
        .handle(world.now, Input::Report("a", old, Report::Died));
    assert_eq!(world.state(), State::Running);
    world
        .reconciler
        .handle(world.now, Input::Report("nobody", 1, Report::Died));
    world.report("a", Report::Checked(LOST));
    assert_eq!(world.state(), State::Running, "nobody asked");
}

#[test]
fn operators_are_obeyed_in_every_state() {
    let mut world = running();
    world.order("a", Order::Start);
    assert_eq!(world.state(), State::Running);
    world.order("a", Order::Stop);
    world.order("a", Order::Stop);
    assert_eq!(
        (world.state(), world.agent().wanted),
        (State::Stopped, false)
    );
    world.pass(seconds(4_000));
    assert_eq!(world.state(), State::Stopped, "it is kept so");
    world.order("a", Order::Start);
    assert_eq!(world.state(), State::Running);
    world.log.clear();
    world.order("a", Order::Restart);
    assert_eq!(
        world.log,
        [
            "4000.000 lower",
            "4000.000 running>stopping",
            "4000.000 kill",
            "4000.000 stopping>starting",
            "4000.000 raise Voice",
            "4000.000 raise Line",
            "4000.000 starting>running",
        ]
    );
    assert_eq!(world.agent().restarts, 1);
    // A failed one need not wait.
    world.registrar = false;
    world.pass(seconds(60));
    assert_eq!(world.state(), State::Failed);
    world.registrar = true;
    world.order("a", Order::Start);
    assert_eq!((world.state(), world.agent().failures), (State::Running, 0));
    // Down and up again before it is down.
    world.silent = true;
    world.order("a", Order::Stop);
    world.order("a", Order::Start);
    assert_eq!(world.state(), State::Stopping);
    world.silent = false;
    world.pass(seconds(6));
    assert_eq!(world.state(), State::Running);
    world.order("nobody", Order::Stop);
}

#[test]
fn a_stop_is_bounded_even_where_nothing_answers() {
    let mut world = running();
    world.silent = true;
    world.order("a", Order::Stop);
    assert_eq!(world.state(), State::Stopping);
    world.pass(seconds(5));
    assert_eq!(world.state(), State::Stopped);
}

#[test]
fn the_desired_set_is_followed() {
    let mut world = World::new(Policy::default(), 1);
    world.desired(&[("a", 1, true), ("b", 1, false)]);
    assert_eq!(
        world.state(),
        State::Stopped,
        "an operator stopped it before this process"
    );
    assert_eq!(world.reconciler.count(), (1, 2));
    world.log.clear();
    world.desired(&[("a", 1, false), ("b", 1, false)]);
    assert_eq!(world.state(), State::Running);
    world.desired(&[("a", 1, false)]);
    assert!(
        world
            .log
            .ends_with(&["0.000 kill".to_owned(), "0.000 forget".to_owned()])
    );
    assert_eq!(world.reconciler.count(), (1, 1));
    world.log.clear();
    world.desired(&[("a", 1, false)]);
    world.pass(seconds(100));
    assert!(
        world.log.is_empty(),
        "the same set changes nothing: {:?}",
        world.log
    );
    world.desired(&[]);
    assert_eq!(world.reconciler.poll_timeout(), None);
    assert_eq!(world.reconciler.rising, 0);
}

#[test]
fn changed_credentials_are_tried_at_once_where_the_old_ones_failed() {
    let mut world = World::new(Policy::default(), 1);
    world.registrar = false;
    world.desired(&[("a", 1, false)]);
    world.pass(seconds(60));
    assert_eq!(world.state(), State::Failed);
    world.registrar = true;
    world.log.clear();
    world.desired(&[("a", 2, false)]);
    assert_eq!(
        world.transitions(),
        ["failed>starting registration", "starting>running"]
    );
    // One that is well is only looked at, soon.
    world.log.clear();
    world.desired(&[("a", 3, false)]);
    world.registrar = false;
    world.pass(seconds(10));
    assert_eq!(world.transitions()[0], "running>unhealthy registration");
}

#[test]
fn only_so_many_come_up_at_once() {
    let policy = Policy {
        starts_at_once: 3,
        ..Policy::default()
    };
    let mut world = World::new(policy, 1);
    world.silent = true;
    let all: Vec<String> = (0..10).map(|n| format!("a{n}")).collect();
    let desired: Vec<_> = all.iter().map(|id| (id.as_str(), 1, false)).collect();
    world.desired(&desired);
    let raised = |world: &World| {
        world
            .log
            .iter()
            .filter(|line| line.contains("raise Voice"))
            .count()
    };
    assert_eq!(raised(&world), 3);
    world.report("a0", Report::NotUp(Part::Voice, Cause::Engine));
    assert_eq!(raised(&world), 4);
    world.order("a1", Order::Stop);
    assert_eq!(raised(&world), 5);
    // One that waits for its turn may leave.
    world.desired(&desired[..6]);
    world.report("a2", Report::Up(Part::Voice));
    world.report("a2", Report::Up(Part::Line));
    assert_eq!(raised(&world), 6);
    assert_eq!(world.reconciler.rising, 3);
}

/// Whatever comes in whatever order: no deadline is left in the past, no more come up than may, and what must run runs in the end.
#[test]
fn chaos_ends_in_order() {
    for seed in 0..200 {
        let policy = Policy {
            starts_at_once: 4,
            ..Policy::default()
        };
        let mut world = World::new(policy, seed);
        let mut chance = Choice::new(seed ^ 0xA5A5);
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut revision = 0;
        for _ in 0..300 {
            let id = names[usize::try_from(chance.below(6)).expect("small")];
            match chance.below(12) {
                0 => world.registrar ^= true,
                1 => world.engine ^= true,
                2 => world.hangs ^= true,
                3 => world.silent ^= true,
                4 | 5 if world.reconciler.agents.contains_key(id) => world.report(id, Report::Died),
                6 => world.order(id, Order::Restart),
                7 => world.order(id, Order::Start),
                8 => {
                    revision += chance.below(2);
                    let count = usize::try_from(chance.below(7)).expect("small");
                    let some: Vec<_> = names[..count]
                        .iter()
                        .map(|id| (*id, revision, false))
                        .collect();
                    world.desired(&some);
                }
                _ => world.pass(Duration::from_millis(chance.below(120_000))),
            }
            assert!(world.reconciler.rising <= 4);
            let rising = world
                .reconciler
                .agents
                .values()
                .filter(|agent| agent.is_rising())
                .count();
            assert_eq!(world.reconciler.rising, rising);
            let due: BTreeSet<_> = world
                .reconciler
                .agents
                .iter()
                .filter_map(|(id, agent)| Some((agent.due()?, id.clone())))
                .collect();
            assert_eq!(world.reconciler.due, due);
        }
        (world.registrar, world.engine, world.hangs, world.silent) = (true, true, false, false);
        let all: Vec<_> = names.iter().map(|id| (*id, revision, false)).collect();
        world.desired(&all);
        world.pass(seconds(1_000));
        assert_eq!(world.reconciler.count(), (6, 6), "seed {seed}");
    }
}
