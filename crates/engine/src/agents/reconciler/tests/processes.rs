//! Agents of processes that hang or leak, and agents that cannot be used.

use super::*;

#[test]
fn a_process_that_hangs_is_restarted_as_one_that_died() {
    let mut world = running();
    world.log.clear();
    world.stalled = true;
    while world.state() == State::Running {
        assert!(world.at() <= 31.0, "it is looked at every 30 seconds");
        world.pass(Duration::from_millis(1));
    }
    assert_eq!(world.agent().cause, Some(Cause::Hung));
    world.stalled = false;
    world.pass(seconds(2));
    assert_eq!((world.state(), world.agent().restarts), (State::Running, 1));
    assert_eq!(
        world.transitions(),
        [
            "running>unhealthy hung",
            "unhealthy>starting hung",
            "starting>running"
        ]
    );
    // The run lives on: it knows which process it was.
    let killed = |line: &String| line.ends_with("kill");
    assert!(!world.log.iter().any(killed), "{:?}", world.log);
}

#[test]
fn a_leak_is_a_restart_once_no_call_runs() {
    let mut world = running();
    world.memory = Memory::Over { busy: true };
    world.pass(seconds(120));
    let agent = world.agent();
    assert_eq!(
        (agent.state, agent.cause),
        (State::Unhealthy, Some(Cause::Memory))
    );
    assert_eq!(agent.restarts, 0, "a call runs");
    world.memory = Memory::Over { busy: false };
    world.log.clear();
    world.pass(seconds(30));
    assert!(
        world.log.iter().any(|line| line.ends_with("raise Voice")),
        "{:?}",
        world.log
    );
    world.memory = Memory::Within;
    world.pass(seconds(60));
    assert_eq!((world.state(), world.agent().cause), (State::Running, None));
}

#[test]
fn a_leak_under_a_call_that_does_not_end_has_its_bound() {
    let mut world = running();
    world.memory = Memory::Over { busy: true };
    world.pass(seconds(630));
    let raised = world
        .log
        .iter()
        .rposition(|line| line.ends_with("raise Voice"));
    let lost = world
        .log
        .iter()
        .position(|line| line.contains("unhealthy memory"));
    assert!(raised > lost, "{:?}", world.log);
    let at: f64 = world.log[raised.expect("raised")]
        .split(' ')
        .next()
        .and_then(|at| at.parse().ok())
        .expect("a time");
    assert!(
        (600.0..=630.0).contains(&at),
        "ten minutes after the look: {at}"
    );
}

#[test]
fn a_leak_without_a_call_is_a_failure_like_any_other() {
    let mut world = running();
    world.memory = Memory::Over { busy: false };
    world.pass(seconds(600));
    assert_eq!((world.state(), world.agent().failures), (State::Failed, 5));
}

#[test]
fn an_agent_that_cannot_be_used_is_failed_until_it_is_changed() {
    let mut world = World::new(Policy::default(), 1);
    world.unusable = true;
    world.desired(&[("a", 1, false)]);
    let agent = world.agent();
    assert_eq!(
        (agent.state, agent.cause),
        (State::Failed, Some(Cause::Settings))
    );
    for order in [Order::Start, Order::Restart] {
        world.order("a", order);
        assert_eq!(world.state(), State::Failed);
    }
    world.order("a", Order::Stop);
    assert_eq!((world.state(), world.agent().cause), (State::Stopped, None));
    world.order("a", Order::Start);
    world.pass(seconds(3_600));
    assert!(
        world.log.iter().all(|line| !line.contains("raise")),
        "{:?}",
        world.log
    );
    world.unusable = false;
    world.desired(&[("a", 2, false)]);
    assert_eq!((world.state(), world.agent().cause), (State::Running, None));
    // And one that ran loses its run.
    world.unusable = true;
    world.desired(&[("a", 3, false)]);
    assert_eq!(
        world.log.last().map(String::as_str),
        Some("3600.000 running>failed settings")
    );
    assert!(world.log.iter().any(|line| line == "3600.000 kill"));
}
