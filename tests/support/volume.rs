//! File systems in image files, whose power can be cut.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Size of an image; it is sparse.
const IMAGE_BYTES: u64 = 1 << 30;
/// Shuts file systems down at once, without flushing their logs: `FS_IOC_SHUTDOWN` with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
    for path in sys.argv[1:]: fcntl.ioctl(os.open(path, os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// A file system in an image of its own; unmounted and removed with this value.
#[derive(Debug)]
pub struct Volume {
    image: PathBuf,
    at: PathBuf,
}

/// Why no volume can be made here, if so.
pub fn unavailable(kind: &str) -> Option<String> {
    if !rustix::process::getuid().is_root() {
        return Some("only root may mount file systems".to_owned());
    }
    for tool in [format!("mkfs.{kind}"), "losetup".to_owned(), "python3".to_owned()] {
        let found = Command::new(&tool).arg("--help").output();
        if found.is_err() {
            return Some(format!("{tool} is not installed"));
        }
    }
    let free = Command::new("losetup").arg("-f").output().ok().filter(|output| output.status.success());
    free.is_none().then(|| "there is no free loop device".to_owned())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

impl Volume {
    /// Makes a file system of this kind and mounts it at a folder, which is made, too.
    pub fn make(kind: &str, at: &Path) -> Self {
        // The image is all that survives a cut, so it may well lie in memory.
        let chosen = std::env::var_os("QUORATE_TEST_VOLUMES").map(PathBuf::from);
        let folder = [chosen, Some(PathBuf::from("/dev/shm"))].into_iter().flatten().find(|folder| folder.is_dir());
        let folder = folder.unwrap_or_else(std::env::temp_dir);
        let file =
            tempfile::Builder::new().prefix("quorate-volume-").tempfile_in(folder).expect("an image can be made");
        file.as_file().set_len(IMAGE_BYTES).expect("an image can be made");
        let (_, image) = file.keep().expect("an image can be kept");
        let volume = Self { image, at: at.to_owned() };
        run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&volume.image)).unwrap();
        std::fs::create_dir_all(at).expect("a folder can be made");
        volume.mount();
        volume
    }

    /// Mounts it; the file system recovers by its own log.
    pub fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.at)).unwrap();
    }

    /// Unmounts it, when nothing is open in it any more.
    pub fn unmount(&self) {
        run(Command::new("umount").arg(&self.at)).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a test that fails may still have a node in it. It may also be unmounted just now.
        let _ = Command::new("umount").args(["-q", "-l"]).arg(&self.at).output();
        let _ = std::fs::remove_file(&self.image);
        let _ = std::fs::remove_dir(&self.at);
        if let Some(folder) = self.at.parent() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Cuts the power of these volumes: from now on they write nothing, and what is not on the medium is gone.
pub fn cut_power(volumes: &[&Volume]) {
    run(Command::new("python3").args(["-c", SHUT_DOWN]).args(volumes.iter().map(|volume| &volume.at))).unwrap();
}
