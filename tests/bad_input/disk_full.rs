//! A volume that fills up: writes are refused and say why, reads are served, and when there is space again, all is well.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quorate_client::{Error, Outcome, Session};

use crate::support::cluster::quorum;
use crate::support::{TestCluster, eventually};

/// Size of the volume: the engine's reserve of 128 MiB and some room to write in.
const VOLUME_MIB: u64 = 192;

/// A small volume in memory; unmounted with this value.
struct Volume {
    path: PathBuf,
}

impl Volume {
    /// None if this user may not mount.
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={VOLUME_MIB}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self { path: path.to_owned() })
    }

    /// Takes all space but so much, with a file that `free` removes.
    fn fill_but(&self, left_bytes: u64) {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        let available = stat.f_bavail * stat.f_frsize;
        let take = available.saturating_sub(left_bytes);
        let file = std::fs::File::create(self.path.join("ballast")).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, take).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a test that fails may still have a node in it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

async fn write(session: &Session, k: i32) -> Result<(), Error> {
    let insert = session.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await?;
    session.execute_with(&insert, (k, "v".repeat(10_000)), &quorum()).await?;
    Ok(())
}

/// Writes until one is refused; gives the number of the first that was not acknowledged, and why.
async fn write_until_refused(session: &Session, first: i32, most: i32) -> (i32, Error) {
    for k in first..first + most {
        if let Err(error) = write(session, k).await {
            return (k, error);
        }
    }
    panic!("{most} writes of 10 kB went into a full volume");
}

async fn all_there(session: &Session, below: i32) {
    let select = session.prepare("SELECT v FROM ks.t WHERE k = ?").await.unwrap();
    for k in 0..below {
        let found = session.execute_with(&select, (k,), &quorum()).await.unwrap();
        assert_eq!(found.row_count(), 1, "row {k}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_serves_reads() {
    let mut cluster = TestCluster::start(0).await;
    let index = cluster.prepare();
    let data = cluster.nodes[index].data_dir.clone();
    let Some(volume) = Volume::mount(&data) else {
        eprintln!("skipped: only root may mount the small volume that this needs");
        return;
    };
    cluster.nodes[index].data_dir = data.join("node");
    cluster.nodes[index].start();
    cluster.nodes[index].ready().await;
    let session = cluster.session().await;
    for statement in [
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE ks.t (k int PRIMARY KEY, v text)",
    ] {
        session.query(statement, ()).await.unwrap();
    }
    for k in 0..200 {
        write(&session, k).await.unwrap();
    }
    // First the engine's own reserve is reached, then the very last byte.
    let mut next = 200;
    for left in [64 << 20, 256 << 10] {
        volume.fill_but(left);
        let (refused, error) = write_until_refused(&session, next, 3_000).await;
        eprintln!("disk full with {left} bytes left: after {} writes: {error}", refused - next);
        let text = error.to_string().to_lowercase();
        assert!(["space", "full"].iter().any(|word| text.contains(word)), "it does not say why: {error:?}");
        assert_eq!(error.outcome(), Outcome::Refused, "{error:?}");
        all_there(&session, refused).await;
        assert!(cluster.nodes[index].runs(), "the node goes on");
        volume.free();
        eventually(Duration::from_secs(20), "writes are taken again", async || {
            write(&session, refused).await.map_err(|error| error.to_string())
        })
        .await;
        next = refused + 1;
    }
    cluster.kill_all();
    cluster.start_again().await;
    all_there(&cluster.session().await, next).await;
    // The volume goes before the folder that it is mounted in, and must not be busy then.
    cluster.kill_all();
    drop(volume);
}
