//! One read for all that wait for one, as in Raft's `ReadIndex`.

use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Mutex, watch};

/// The answer of a source, some time later.
pub type Answering<'a, Answer> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Reads a source for any number of callers, one read at a time.
#[derive(Debug)]
pub struct SharedRead<Source, Answer> {
    source: Mutex<Source>,
    /// Number of the newest read that has begun.
    begun: AtomicU64,
    /// The newest read that has ended, and its answer.
    ended: watch::Sender<(u64, Option<Answer>)>,
}

impl<Source: Send, Answer: Copy + Send + Sync> SharedRead<Source, Answer> {
    /// Returns a shared reader of a source.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self {
            source: Mutex::new(source),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new((0, None)),
        }
    }

    /// Returns an answer of the source to a question that was asked after this call; `None` if it has none. The
    /// question of one caller answers all that called before it was asked, and nobody else. A caller that goes away
    /// leaves its turn to the next.
    pub async fn read<Ask>(&self, ask: Ask) -> Option<Answer>
    where
        Ask: for<'a> FnOnce(&'a mut Source) -> Answering<'a, Option<Answer>> + Send,
    {
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let mut ended = self.ended.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`, so the wait does not fail.
            answer = async { ended.wait_for(|(number, _)| *number >= wanted).await.ok()?.1 } => answer,
            mut source = self.source.lock() => {
                let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
                let answer = ask(&mut source).await;
                self.ended.send_replace((number, answer));
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;

    /// Answers when the test says so; counts the questions.
    struct Told {
        asked: mpsc::Sender<()>,
        answers: mpsc::Receiver<u32>,
    }

    #[tokio::test]
    async fn w7_a_question_that_was_asked_before_a_call_does_not_answer_it() {
        let (asked, mut questions) = mpsc::channel(4);
        let (tell, answers) = mpsc::channel(4);
        let shared = Arc::new(SharedRead::new(Told { asked, answers }));
        let call = || {
            let shared = shared.clone();
            tokio::spawn(async move {
                let answer = shared.read(|told: &mut Told| {
                    told.asked.try_send(()).unwrap();
                    Box::pin(told.answers.recv())
                });
                answer.await
            })
        };
        let first = call();
        questions.recv().await.unwrap();
        let later: Vec<_> = (0..3).map(|_| call()).collect();
        // The calls have begun to wait.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        tell.try_send(1).unwrap();
        assert_eq!(first.await.unwrap(), Some(1));
        questions.recv().await.unwrap();
        tell.try_send(2).unwrap();
        for call in later {
            assert_eq!(call.await.unwrap(), Some(2));
        }
        assert!(questions.try_recv().is_err(), "one question for all three");
        // Whoever asks may go away.
        let gone = call();
        questions.recv().await.unwrap();
        let next = call();
        gone.abort();
        questions.recv().await.unwrap();
        tell.try_send(3).unwrap();
        assert_eq!(next.await.unwrap(), Some(3));
    }
}
