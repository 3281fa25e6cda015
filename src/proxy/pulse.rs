//! Whether the accept loops still turn: each is asked, and answers between two connections.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot, watch};

use super::Stage;

/// Where an accept loop hears the question.
pub(super) type Questions = mpsc::Receiver<oneshot::Sender<()>>;

/// Asks all accept loops of a proxy.
#[derive(Clone)]
pub struct Pulse {
    doors: Vec<(SocketAddr, mpsc::Sender<oneshot::Sender<()>>)>,
    stage: watch::Receiver<Stage>,
}

/// An accept loop that has ended though the proxy runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody accepts connections at {0} any more")]
pub struct Stopped(pub SocketAddr);

impl Pulse {
    pub(super) const fn new(stage: watch::Receiver<Stage>) -> Self {
        Self {
            doors: Vec::new(),
            stage,
        }
    }

    /// One more accept loop.
    pub(super) fn door(&mut self, address: SocketAddr) -> Questions {
        let (ask, questions) = mpsc::channel(1);
        self.doors.push((address, ask));
        questions
    }

    /// Waits until every accept loop has answered: for ever, where one hangs. A proxy that accepts nothing any more has
    /// none to ask; that this is carried out at all says that its sessions are.
    ///
    /// # Errors
    /// Which of them is gone.
    pub async fn feel(&self) -> Result<(), Stopped> {
        for (address, door) in &self.doors {
            if !answers(door).await && *self.stage.borrow() == Stage::Running {
                return Err(Stopped(*address));
            }
        }
        Ok(())
    }
}

async fn answers(door: &mpsc::Sender<oneshot::Sender<()>>) -> bool {
    let (answer, answered) = oneshot::channel();
    door.send(answer).await.is_ok() && answered.await.is_ok()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[tokio::test]
    async fn a_loop_that_hangs_gives_no_answer_and_one_that_is_gone_is_named() {
        let stage = watch::Sender::new(Stage::Running);
        let mut pulse = Pulse::new(stage.subscribe());
        let mut turning = pulse.door(address(1));
        tokio::spawn(async move {
            while let Some(answer) = turning.recv().await {
                answer.send(()).unwrap();
            }
        });
        assert_eq!(pulse.feel().await, Ok(()));
        let mut hanging = pulse.door(address(2));
        let mut feeling = Box::pin(pulse.feel());
        let question = tokio::select! {
            felt = &mut feeling => panic!("{felt:?} though one hangs"),
            question = hanging.recv() => question,
        };
        // The question has come, and is not answered.
        assert!(feeling.as_mut().now_or_never().is_none());
        drop(question);
        assert_eq!(feeling.await, Err(Stopped(address(2))));
        drop(hanging);
        assert_eq!(pulse.feel().await, Err(Stopped(address(2))));
        stage.send_replace(Stage::Draining);
        assert_eq!(pulse.feel().await, Ok(()));
    }
}
