//! Devices at the driver: their bindings are told to the rest of the process, their wrong passwords are counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use catalog::Message;
use sip::{Binding, DeviceId, RegisterRefusal};
use tokio::sync::oneshot;

use super::{SipDriver, lock};
use crate::devices::DeviceChange;
use crate::dispatch::Line;
use crate::log::say;
use crate::metrics::Metrics;

/// What is asked about devices.
#[derive(Debug)]
pub(crate) enum DeviceCommand {
    /// Where they are registered, by the names of their lines.
    Bindings {
        answer: oneshot::Sender<Vec<(String, Vec<Binding>)>>,
    },
    /// What an earlier process knew, by the names of their lines.
    Restore(Vec<(String, Binding)>),
}

impl SipDriver {
    pub(super) fn device_command(&mut self, now: Instant, command: DeviceCommand) {
        match command {
            DeviceCommand::Bindings { answer } => drop(answer.send(self.device_bindings())),
            DeviceCommand::Restore(bindings) => self.restore_bindings(now, bindings),
        }
    }

    fn device_line(&self, device: DeviceId) -> Option<&Arc<Line>> {
        self.lines.iter().find(|line| line.device == Some(device))
    }

    pub(super) fn bindings(&self, device: DeviceId, bindings: Vec<Binding>) {
        let was_somewhere = self.calls.devices.note(device, &bindings);
        let Some(line) = self.device_line(device) else {
            return;
        };
        let name = line.config.name.as_str();
        match bindings.first() {
            Some(binding) if !was_somewhere => {
                Metrics::count(&self.calls.metrics.registrations, "device_registered", 1);
                let message = Message::new("log_device_registered").with("device", name);
                say(&message.with("source", binding.source.to_string()));
            }
            None if was_somewhere => {
                Metrics::count(&self.calls.metrics.registrations, "device_gone", 1);
                say(&Message::new("log_device_gone").with("device", name));
            }
            Some(_) | None => {}
        }
        self.calls.devices.tell(DeviceChange {
            line: line.config.name.clone(),
            tenant: line.config.tenant.clone(),
            bindings,
        });
    }

    /// Whoever proves nothing may be wrong a few times, as with calls.
    pub(super) fn register_refused(
        &self,
        source: SocketAddr,
        user: &str,
        refusal: RegisterRefusal,
    ) {
        Metrics::count(&self.calls.metrics.registrations, "device_refused", 1);
        let user: String = user.chars().take(64).collect();
        let message = Message::new("log_device_refused")
            .with("source", source.to_string())
            .with("device", user);
        say(&message.with("cause", cause(refusal)));
        let is_guess = match refusal {
            RegisterRefusal::Unproven | RegisterRefusal::OtherIdentity => true,
            RegisterRefusal::Refused(_) => false,
        };
        if is_guess && !self.is_known(source.ip()) {
            lock(&self.dispatcher).note_wrong_password(Instant::now(), source.ip());
        }
    }

    fn device_bindings(&self) -> Vec<(String, Vec<Binding>)> {
        let known = |line: &Arc<Line>| {
            let bindings = self.user_agent.bindings(line.device?);
            (!bindings.is_empty()).then(|| (line.config.name.clone(), bindings))
        };
        self.lines.iter().filter_map(known).collect()
    }

    fn restore_bindings(&mut self, now: Instant, bindings: Vec<(String, Binding)>) {
        for (name, binding) in bindings {
            let line = self.lines.iter().find(|line| line.config.name == name);
            if let Some(device) = line.and_then(|line| line.device) {
                self.user_agent.restore_binding(now, device, binding);
            }
        }
    }
}

fn cause(refusal: RegisterRefusal) -> String {
    match refusal {
        RegisterRefusal::Unproven => "403".to_owned(),
        RegisterRefusal::OtherIdentity => "403 (To)".to_owned(),
        RegisterRefusal::Refused(status) => status.to_string(),
    }
}
