//! What the scenario knows of its surroundings: the cluster's addresses, its control, the values, and how to wait.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use scylla::policies::host_listener::{HostEvent, HostEventContext, HostListener};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Ends a step with this text unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}

/// `values.json`.
#[derive(Deserialize)]
pub struct Values {
    pub types: Vec<String>,
    pub values: Vec<Value>,
}

/// One value: its CQL type, its literal, and the text that it has.
#[derive(Deserialize)]
pub struct Value {
    #[serde(rename = "type")]
    pub cql_type: String,
    pub literal: String,
    pub text: String,
}

/// The cluster, from the environment.
pub struct World {
    pub nodes: Vec<IpAddr>,
    pub data_center: String,
    pub control: String,
    pub values: Values,
    pub skip: Vec<String>,
}

impl World {
    pub fn from_environment() -> Result<Self, Failure> {
        let variable =
            |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set: run it by tests/drivers/run"));
        let nodes = variable("DRIVERS_NODES")?.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let values = serde_json::from_str(&std::fs::read_to_string(variable("DRIVERS_VALUES")?)?)?;
        let skip = std::env::var("DRIVERS_SKIP").unwrap_or_default().split(',').map(str::to_owned).collect();
        Ok(Self { nodes, data_center: variable("DRIVERS_DC")?, control: variable("DRIVERS_CONTROL")?, values, skip })
    }

    /// Asks the control for `kill` or `start` of a node, counted from 1.
    pub async fn control(&self, verb: &str, node: usize) -> Result<(), Failure> {
        let mut stream = TcpStream::connect(&self.control).await?;
        stream.write_all(format!("GET /{verb}/{node} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        check!(answer.lines().next().is_some_and(|line| line.contains(" 200 ")), "{verb} of node {node}: {answer}");
        Ok(())
    }
}

/// Looks again until it is so, or the time is over.
pub async fn until<T>(what: &str, seconds: u64, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, Failure> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        check!(Instant::now() < deadline, "{what}: not within {seconds} s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the driver said of hosts, in order.
#[derive(Default)]
pub struct Heard(Mutex<Vec<(IpAddr, &'static str)>>);

impl Heard {
    pub fn forget(&self) {
        self.lock().clear();
    }

    pub fn has(&self, host: IpAddr, event: &'static str) -> bool {
        self.lock().contains(&(host, event))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(IpAddr, &'static str)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The driver's listener, which only writes down.
pub struct Listener(pub Arc<Heard>);

impl HostListener for Listener {
    fn on_event(&self, context: &HostEventContext, event: &HostEvent) {
        let event = match event {
            HostEvent::Up => "UP",
            HostEvent::Down => "DOWN",
            _ => return,
        };
        self.0.lock().push((context.addr().ip(), event));
    }
}
