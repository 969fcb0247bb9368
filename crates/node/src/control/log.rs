//! Driving the metadata log: persisting, sending, publishing what was applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_membership::metadata_log::{LogFrame, LogInput, LogOutput};
use quorate_model::{Epoch, NodeId};

use super::{Control, Step};
use crate::machine::Output;
use crate::peer::Frame;
use crate::snapshot::Snapshot;

impl Control {
    pub(super) fn take_log(&mut self, step: &mut Step<'_>, from: NodeId, frame: LogFrame) {
        self.heard(step, from, None);
        self.step_log(step, LogInput::Message { from, frame });
    }

    /// Somebody has applied, or heard of, this epoch.
    pub(super) fn hear_epoch(&mut self, step: &mut Step<'_>, from: NodeId, epoch: Epoch) {
        if epoch > self.log.epoch() {
            self.step_log(step, LogInput::Heard { from, epoch });
        }
    }

    pub(super) fn drive_log(&mut self, step: &mut Step<'_>) {
        if self.log.deadline().is_some_and(|at| at <= step.now.mono) {
            self.step_log(step, LogInput::Tick);
        }
    }

    fn step_log(&mut self, step: &mut Step<'_>, input: LogInput) {
        let mut outputs = Vec::new();
        self.log.step(step.now.mono, input, &mut outputs);
        self.carry_out(step, outputs);
    }

    /// Carries out the log's outputs, in order.
    pub(super) fn carry_out(&mut self, step: &mut Step<'_>, outputs: Vec<LogOutput>) {
        let before = Arc::clone(&self.shared.snapshot().metadata);
        let mut finished = Vec::new();
        for output in outputs {
            match output {
                LogOutput::Persist(changes) => {
                    if let Err(error) = self.store.commit(&changes) {
                        step.out.push(Output::Fatal(format!("the system store failed: {error}")));
                        return;
                    }
                }
                LogOutput::Send { to, frame } => self.send_control(step, to, &Frame::Log(frame)),
                LogOutput::Applied { .. } | LogOutput::Installed { .. } => {}
                LogOutput::Finished { id, outcome } => finished.push((id, outcome)),
                LogOutput::Foreign { from, cluster, name } => self.foreign(step, from, cluster, name),
                LogOutput::Diverged { from, epoch } => step.out.push(Output::Fatal(format!(
                    "node {from} holds another decision for epoch {epoch}: one of the two data directories was restored or \
                     altered"
                ))),
            }
        }
        let metadata = Arc::clone(self.log.metadata());
        if metadata.epoch != before.epoch {
            self.follow_metadata();
            let reachable = self.reachable(step.now);
            self.shared.publish(Snapshot::new(Arc::clone(&metadata), self.me(), reachable));
            self.tell_directory(step);
            self.start_effects(step, &before, &metadata);
            self.notify_workers(step);
        }
        for (id, outcome) in finished {
            self.proposal_finished(step, id, outcome);
        }
    }

    /// Tells the driver where the nodes listen.
    pub(super) fn tell_directory(&self, step: &mut Step<'_>) {
        let nodes = self.log.metadata().topology.nodes.values();
        let directory: BTreeMap<NodeId, String> = nodes.map(|node| (node.id, node.address.clone())).collect();
        step.out.push(Output::Directory(Arc::new(directory)));
    }

    fn foreign(&mut self, step: &mut Step<'_>, from: NodeId, cluster: quorate_model::ClusterId, name: Option<String>) {
        // A member only counts strangers; whoever looks for a cluster has been given a wrong seed or a wrong name.
        if self.log.metadata().is_founded() {
            return;
        }
        let name = name.unwrap_or_else(|| cluster.to_string());
        step.out.push(Output::Fatal(format!(
            "the seeds belong to the cluster '{name}' (node {from}), but this node is configured for '{}'",
            self.shared.config.cluster_name
        )));
    }
}
