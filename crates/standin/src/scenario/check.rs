//! What a scenario must keep besides its syntax.

use super::{Rule, SCENARIO_ENTRIES_MAX, Scenario, Utterance};

/// Says what is wrong, in words.
pub(super) fn check(scenario: &Scenario) -> Result<(), String> {
    let sizes = [
        scenario.utterances.len(),
        scenario.rules.len(),
        scenario.steps.len(),
        scenario.faults.len(),
        scenario.agent.not_understood.len(),
    ];
    if sizes.iter().any(|size| *size > SCENARIO_ENTRIES_MAX) {
        return Err(format!(
            "more than {SCENARIO_ENTRIES_MAX} entries of a kind"
        ));
    }
    if scenario.agent.not_understood.is_empty() {
        return Err("agent.not_understood needs at least one line".into());
    }
    if !(20..=1_000).contains(&scenario.timing.delta_ms) {
        return Err("timing.delta_ms must be 20 to 1000".into());
    }
    if !scenario.timing.speed.is_finite() || scenario.timing.speed < 0.0 {
        return Err("timing.speed must be 0 or more".into());
    }
    for (index, utterance) in scenario.utterances.iter().enumerate() {
        let twice = |other: &Utterance| other.id == utterance.id;
        if scenario.utterances.iter().take(index).any(twice) {
            return Err(format!("the utterance {} is given twice", utterance.id));
        }
    }
    for rule in &scenario.rules {
        check_rule(scenario, rule)?;
    }
    for (index, step) in scenario.steps.iter().enumerate() {
        let actions = [step.say.is_some(), step.dtmf.is_some(), step.hang_up];
        if actions.iter().filter(|given| **given).count() > 1 {
            return Err(format!("step {}: one of say, dtmf, hang_up", index + 1));
        }
        if let Some(id) = &step.say {
            known(scenario, id)?;
        }
    }
    Ok(())
}

fn check_rule(scenario: &Scenario, rule: &Rule) -> Result<(), String> {
    let causes = [
        rule.hears.is_some(),
        rule.reads.is_some(),
        rule.instructed.is_some(),
    ];
    if causes.iter().filter(|given| **given).count() != 1 {
        return Err("a rule needs exactly one of hears, reads, instructed".into());
    }
    if rule.say.is_none() && rule.call.is_empty() {
        return Err("a rule needs say or call".into());
    }
    match &rule.hears {
        Some(id) => known(scenario, id),
        None => Ok(()),
    }
}

fn known(scenario: &Scenario, id: &str) -> Result<(), String> {
    if scenario.utterances.iter().any(|one| one.id == id) {
        Ok(())
    } else {
        Err(format!("there is no utterance {id}"))
    }
}
