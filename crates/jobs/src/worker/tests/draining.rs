//! What becomes of jobs while the node stops.

use tokio::sync::Notify;

use super::*;

/// No heart beats while the test runs: what waits for a beat waits too long.
fn no_beat() -> Limits {
    Limits { lease: Duration::from_secs(3600), ..Limits::default() }
}

#[tokio::test]
async fn a_drain_waits_for_running_jobs_and_takes_no_others() {
    for bench in Bench::each().await {
        let (started, mut starts) = mpsc::unbounded_channel();
        let go_on = Arc::new(Notify::new());
        let waits_for = go_on.clone();
        let registry = Registry::new().on("note", move |_: Job| {
            let _ = started.send(());
            let waits_for = waits_for.clone();
            async move {
                waits_for.notified().await;
                Ok(())
            }
        });
        let worker = bench.worker_with(registry, &[], no_beat());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        worker.start(&tasks, &stop);
        bench.enqueue(vec![job(1, 0)]).await;
        soon(starts.recv()).await.unwrap();
        stop.cancel();
        tasks.close();
        bench.enqueue(vec![job(1, 1)]).await;
        assert!(!tasks.is_empty());
        go_on.notify_one();
        soon(tasks.wait()).await;
        assert_eq!(bench.count("select count(*) from jobs where state = 0").await, 1);
        assert_eq!(bench.count("select count(*) from jobs").await, 1);
    }
}

#[tokio::test]
async fn what_does_not_end_in_a_drain_is_given_back_and_let_go() {
    struct Ends(mpsc::UnboundedSender<()>);
    impl Drop for Ends {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    for bench in Bench::each().await {
        let (started, mut starts) = mpsc::unbounded_channel();
        let (ended, mut ends) = mpsc::unbounded_channel();
        let registry = Registry::new().on("note", move |_: Job| {
            let (started, ends) = (started.clone(), Ends(ended.clone()));
            async move {
                let _ends = ends;
                let _ = started.send(());
                std::future::pending().await
            }
        });
        let worker = bench.worker_with(registry, &[], no_beat());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        worker.start(&tasks, &stop);
        bench.enqueue(vec![job(1, 0), job(2, 0)]).await;
        for _ in 0..2 {
            soon(starts.recv()).await.unwrap();
        }
        stop.cancel();
        tasks.close();
        assert_eq!(worker.give_back().await.unwrap(), 2);
        for _ in 0..2 {
            soon(ends.recv()).await.unwrap();
        }
        soon(tasks.wait()).await;
        let fresh =
            "select count(*) from jobs where state = 0 and attempts = 0 and locked_by is null";
        assert_eq!(bench.count(fresh).await, 2, "{:?}", bench.engine());
    }
}
