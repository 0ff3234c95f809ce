//! The cases, each in namespaces of its own.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::api::{self, Api, CONCURRENCY};
use crate::audit::{Audit, Entry};
use crate::bare::{Bare, Samples};
use crate::operator::{Operator, Operators, USER};
use crate::simulation::{Seen, Simulation};

const KIND: &str = "DjangoMigrate";
/// In the order in which they run.
pub const ALL: &[&str] = &[
    "latency",
    "at-once-100",
    "at-once-1000",
    "at-once-10000",
    "rest",
    "objects",
    "deployments",
    "keep",
    "singles",
    "no-pods",
    "limit",
    "namespaces",
];

/// A cluster, and what is measured in it.
pub struct Bench {
    api: Api,
    operators: Operators,
    simulation: Arc<Simulation>,
}

/// How fast tasks were carried out.
struct Rates {
    /// Jobs per second, until the last was created.
    jobs: f64,
    /// Tasks per second, until the last event.
    whole: f64,
}

/// What the operator made of calls that may fall together: three to four writes and one to two events.
#[derive(Clone, Copy)]
struct CallsPerTask {
    writes: f64,
    events: f64,
}

/// Prints a row of the table.
fn row(case: &str, figure: &str, measured: impl std::fmt::Display, goal: &str) {
    println!("| {case} | {figure} | {measured} | {goal} |");
}

fn percentile(sorted: &[Duration], part: f64) -> f64 {
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted.get(at).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}

impl Bench {
    pub async fn new() -> Result<Self> {
        let api = Api(Client::try_default().await?);
        let operators = Operators::new(&api).await?;
        let (simulation, _) = Simulation::start(api.clone());
        Ok(Self { api, operators, simulation })
    }

    pub async fn run(&self, case: &str) -> Result<()> {
        match case {
            "latency" => self.latency().await,
            "at-once-100" => self.at_once(100).await,
            "at-once-1000" => self.at_once(1_000).await,
            "at-once-10000" => self.at_once(10_000).await,
            "rest" => self.rest().await,
            "objects" => self.objects().await,
            "deployments" => self.deployments().await,
            "keep" => self.keep().await,
            "singles" => self.singles().await,
            "hanging" => self.hanging().await,
            "no-pods" => self.no_pods().await,
            "limit" => self.limit().await,
            "namespaces" => self.namespaces().await,
            other => bail!("no case {other}"),
        }
    }

    /// Creates tasks, and hands over each as the API server answers with it.
    async fn create(&self, namespace: &str, kind: &str, count: usize, each: impl Fn(Value)) -> Result<()> {
        let path = api::tasks(namespace, kind);
        let created = stream::iter(0..count).map(|n| {
            let (api, path, task) = (&self.api, &path, api::task(kind, &format!("t{n:05}")));
            async move { api.post(path, &task).await }
        });
        let mut created = created.buffer_unordered(16);
        while let Some(task) = created.try_next().await? {
            each(task);
        }
        Ok(())
    }

    /// Until so many tasks of a namespace are ready; when the last of them was.
    async fn ready(&self, namespace: &str, kind: &str, count: usize) -> Result<Instant> {
        let limit = Instant::now() + Duration::from_secs(1_800);
        loop {
            let found = self.count_ready(namespace, kind).await?;
            if found >= count {
                return Ok(Instant::now());
            }
            if Instant::now() > limit {
                bail!("{namespace}: {found} of {count} are ready after half an hour");
            }
            tokio::time::sleep(Duration::from_millis(if count - found > 300 { 2_000 } else { 200 })).await;
        }
    }

    async fn count_ready(&self, namespace: &str, kind: &str) -> Result<usize> {
        let (mut found, mut next) = (0, String::new());
        loop {
            let path = format!("{}?limit=2000&resourceVersion=0&continue={next}", api::tasks(namespace, kind));
            let page = self.api.get(&path).await?;
            let ready = |task: &&Value| {
                let conditions = task["status"]["conditions"].as_array().into_iter().flatten();
                conditions.clone().any(|c| c["type"] == "Ready" && c["status"] == "True")
            };
            found += page["items"].as_array().into_iter().flatten().filter(ready).count();
            next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Until so many Jobs have ended.
    async fn ended(&self, seen: &Seen, count: usize) {
        while seen.jobs.lock().unwrap().values().filter(|times| times.ended.is_some()).count() < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn latency(&self) -> Result<()> {
        self.api.furnish("latency").await?;
        let _operator = self.operators.start("latency", &[]).await?;
        let seen = self.simulation.reset();
        let mut waits = Vec::new();
        for n in 0..100 {
            let name = format!("t{n:05}");
            self.api.post(&api::tasks("latency", KIND), &api::task(KIND, &name)).await?;
            let created = Instant::now();
            self.ended(&seen, n + 1).await;
            let posted = seen.jobs.lock().unwrap()[&format!("latency/{name}")].posted.unwrap();
            waits.push(posted.saturating_duration_since(created));
        }
        waits.sort();
        let measured = format!("{:.1} ms / {:.1} ms", percentile(&waits, 0.5), percentile(&waits, 0.99));
        row("one by one", "created to Job seen, p50 / p99", measured, "10 ms / 40 ms");
        Ok(())
    }

    async fn at_once(&self, count: usize) -> Result<()> {
        let case = format!("{count} at once");
        self.simulation.work.store(1_000, Ordering::Relaxed); // so long that a watch sees it run
        let (own, calls) = self.operator_at_once(&case, &format!("operator-{count}"), count).await?;
        let bare = self.bare_at_once(&format!("bare-{count}"), count, calls).await?;
        self.simulation.work.store(0, Ordering::Relaxed);
        row(&case, "Jobs per second, beside the bare client", beside(own.jobs, bare.jobs), "0.8");
        row(&case, "whole tasks per second, beside the bare client", beside(own.whole, bare.whole), "");
        Ok(())
    }

    async fn operator_at_once(&self, case: &str, namespace: &str, count: usize) -> Result<(Rates, CallsPerTask)> {
        self.api.furnish(namespace).await?;
        let operator = self.operators.start(namespace, &[]).await?;
        let (audit, seen, cpu, begun) = (Audit::begin()?, self.simulation.reset(), operator.cpu(), Instant::now());
        self.create(namespace, KIND, count, |_| ()).await?;
        self.ended(&seen, count).await;
        self.ready(namespace, KIND, count).await?;
        let mut told = (0, Instant::now());
        while told.1.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(200)).await; // until the last event
            let now = audit.entries(USER)?.iter().filter(|e| e.resource == "events").count();
            if now > told.0 {
                told = (now, Instant::now());
            }
        }
        let whole = count as f64 / told.1.duration_since(begun).as_secs_f64();
        let cost = (operator.cpu() - cpu) * 1e3 / count as f64;
        row(case, "processor time a task", format!("{cost:.1} ms"), "4 ms");
        row(case, "resident memory at most", format!("{:.0} MB", operator.memory().1), "");
        let entries = audit.entries(USER)?;
        let calls = |verbs: &[&str], events: bool| {
            let of = |e: &&Entry| verbs.contains(&&*e.verb) && (e.resource == "events") == events;
            entries.iter().filter(of).count() as f64 / count as f64
        };
        let reads = calls(&["get", "list"], false);
        let made = CallsPerTask {
            writes: calls(&["create", "update", "patch"], false),
            events: calls(&["create", "patch"], true),
        };
        let measured = format!("{reads:.2}, {:.2}, {:.2}", made.writes, made.events);
        row(case, "calls a task: reads, writes, events", measured, "2, 4, 2");
        let failed = entries.iter().filter(|e| e.code >= 400).count();
        row(case, "calls that failed", failed, "0");
        Ok((Rates { jobs: rate(&seen, begun), whole }, made))
    }

    async fn bare_at_once(&self, namespace: &str, count: usize, calls: CallsPerTask) -> Result<Rates> {
        self.api.furnish(namespace).await?;
        let own = namespace.replace("bare", "operator");
        let samples = Samples::of(&self.api, &own, KIND, "t00000").await?;
        let seen = self.simulation.reset();
        let client = Bare::new(self.api.clone(), samples, namespace, KIND, seen.clone());
        let (begun, under_way, created_before) = (Instant::now(), TaskTracker::new(), Cell::new(0));
        self.create(namespace, KIND, count, |task| {
            let client = client.clone();
            // As many of the calls that may fall together as the operator made, spread evenly.
            let number = f64::from(created_before.replace(created_before.get() + 1));
            let share = |calls: f64| ((number + 1.0) * calls).floor() - (number * calls).floor();
            let (between, created) = (share(calls.writes - 3.0) as u32, share(calls.events - 1.0) > 0.0);
            under_way.spawn(async move {
                if let Err(error) = client.carry_out(task, between, created).await {
                    eprintln!("bare: {error:#}");
                }
            });
        })
        .await?;
        under_way.close();
        under_way.wait().await;
        Ok(Rates { jobs: rate(&seen, begun), whole: count as f64 / begun.elapsed().as_secs_f64() })
    }

    /// With what `at-once-10000` leaves behind.
    async fn rest(&self) -> Result<()> {
        let operator = self.operators.start("operator-10000", &[]).await?;
        row("10,000 finished", "restart to ready", format!("{:.2} s", operator.age().as_secs_f64()), "5 s");
        row("10,000 finished", "processor time until then", format!("{:.2} s", operator.cpu()), "");
        tokio::time::sleep(Duration::from_secs(20)).await; // what the start leaves to be done
        let (audit, cpu) = (Audit::begin()?, operator.cpu());
        tokio::time::sleep(Duration::from_secs(60)).await; // the minute that is measured
        row("10,000 finished", "processor time in a minute", format!("{:.2} s", operator.cpu() - cpu), "0.1 s");
        let asked = audit.entries(USER)?.iter().filter(|e| e.verb != "watch").count();
        row("10,000 finished", "calls in a minute, but watches", asked, "0");
        row("10,000 finished", "resident memory", format!("{:.0} MB", operator.memory().0), "60 MB");
        Ok(())
    }

    /// What objects take in memory: by taking them away, kind by kind.
    async fn objects(&self) -> Result<()> {
        let (namespace, count) = ("operator-10000", 10_000.0);
        let at_rest = async || -> Result<f64> {
            let operator = self.operators.start(namespace, &[]).await?;
            tokio::time::sleep(Duration::from_secs(15)).await; // what the start leaves to be done
            Ok(operator.memory().0)
        };
        let all = at_rest().await?;
        let mut before = all;
        for (what, path) in
            [("pod", api::pods(namespace)), ("Job", api::jobs(namespace)), ("task", api::tasks(namespace, KIND))]
        {
            self.clear(&path).await?;
            let after = at_rest().await?;
            row("memory", &format!("a finished {what}"), format!("{:.2} KB", (before - after) * 1e3 / count), "");
            before = after;
        }
        row("memory", "without any", format!("{before:.1} MB"), "15 MB");
        Ok(())
    }

    async fn clear(&self, path: &str) -> Result<()> {
        loop {
            let listed = self.api.get(&format!("{path}?limit=1000")).await?;
            let items = listed["items"].as_array().cloned().unwrap_or_default();
            if items.is_empty() {
                return Ok(());
            }
            let deleted = stream::iter(items).map(|object| async move {
                let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
                let finalizers = &object["metadata"]["finalizers"];
                if finalizers.as_array().is_some_and(|f| !f.is_empty()) {
                    self.api.patch(&path, &json!({"metadata": {"finalizers": null}})).await?;
                }
                let now = json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"});
                self.api.call("DELETE", &path, Some(&now)).await
            });
            deleted.buffer_unordered(CONCURRENCY).for_each(|_| futures::future::ready(())).await;
        }
    }

    async fn deployments(&self) -> Result<()> {
        let namespace = "deployments";
        self.api.furnish(namespace).await?;
        let empty = self.at_rest(namespace).await?;
        let path = api::deployments(namespace);
        let created = stream::iter(0..1_000).map(|n| {
            let (path, deployment) = (&path, api::deployment(&format!("other-{n}"), false, "i:1"));
            async move { self.api.post(path, &deployment).await }
        });
        created.buffer_unordered(16).try_for_each(|_| futures::future::ok(())).await?;
        let full = self.at_rest(namespace).await?;
        row("memory", "a Deployment of 31 variables", format!("{:.2} KB", (full - empty) * 1e3 / 1e3), "");
        let operator = self.operators.start(namespace, &[]).await?;
        self.simulation.reset();
        self.create(namespace, KIND, 100, |_| ()).await?;
        self.ready(namespace, KIND, 100).await?;
        tokio::time::sleep(Duration::from_secs(5)).await; // the last events
        for (what, every, goal) in [("status", 20, "1 %"), ("image", 1_000, "5 %")] {
            let (audit, cpu, begun) = (Audit::begin()?, operator.cpu(), Instant::now());
            let mut ticks = tokio::time::interval(Duration::from_millis(every));
            let mut patches = 0;
            while begun.elapsed() < Duration::from_secs(30) {
                ticks.tick().await;
                patches += 1;
                if what == "status" {
                    let status = json!({"status": {"observedGeneration": 1, "collisionCount": patches}});
                    self.api.patch(&format!("{path}/web/status"), &status).await?;
                } else {
                    let image = [
                        json!({"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": format!("i:{patches}")}),
                    ];
                    self.patch_json(&format!("{path}/web"), &json!(image)).await?;
                }
            }
            let seconds = begun.elapsed().as_secs_f64();
            let share = 100.0 * (operator.cpu() - cpu) / seconds;
            let case = format!("1,000 Deployments, {:.0} {what} patches a second", f64::from(patches) / seconds);
            row(&case, "processor time", format!("{share:.2} % of a core"), goal);
            let asked = audit.entries(USER)?.iter().filter(|e| e.verb != "watch").count();
            row(&case, "calls", asked, "0");
        }
        Ok(())
    }

    async fn patch_json(&self, path: &str, steps: &Value) -> Result<Value> {
        let request =
            http::Request::builder().method("PATCH").uri(path).header("content-type", "application/json-patch+json");
        Ok(self.api.0.request(request.body(serde_json::to_vec(steps)?)?).await?)
    }

    async fn at_rest(&self, namespace: &str) -> Result<f64> {
        let operator = self.operators.start(namespace, &[]).await?;
        tokio::time::sleep(Duration::from_secs(5)).await; // what the start leaves to be done
        Ok(operator.memory().0)
    }

    /// NUM_OLD_CRS that throws nothing away, over what `at-once-1000` left behind.
    async fn keep(&self) -> Result<()> {
        let namespace = "operator-1000";
        let operator = self.operators.start(namespace, &[("NUM_OLD_CRS", "20000")]).await?;
        tokio::time::sleep(Duration::from_secs(20)).await; // a reconcile of each
        let cost = operator.cpu() * 1e3 / 1e3;
        row("NUM_OLD_CRS=20000", "processor time a task of 1,000, after a restart", format!("{cost:.2} ms"), "");
        row("NUM_OLD_CRS=20000", "resident memory", format!("{:.0} MB", operator.memory().0), "");
        drop(operator);
        let (audit, begun) = (Audit::begin()?, Instant::now());
        let operator = self.operators.start(namespace, &[("NUM_OLD_CRS", "100")]).await?;
        while self.count_ready(namespace, KIND).await? > 100 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        row("NUM_OLD_CRS=100", "900 of 1,000 thrown away in", format!("{:.1} s", begun.elapsed().as_secs_f64()), "");
        tokio::time::sleep(Duration::from_secs(2)).await; // what comes too late
        let entries = audit.entries(USER)?;
        let deleted = entries.iter().filter(|e| e.verb == "delete").count();
        row("NUM_OLD_CRS=100", "deletions", deleted, "900");
        row("NUM_OLD_CRS=100", "processor time", format!("{:.2} s", operator.cpu()), "");
        Ok(())
    }

    /// Single tasks of another namespace and of another kind while a thousand of one wait.
    async fn singles(&self) -> Result<()> {
        for namespace in ["burst", "quiet"] {
            self.api.furnish(namespace).await?;
        }
        let _operator = self.operators.start("burst,quiet", &[]).await?;
        let seen = self.simulation.reset();
        let others = [("quiet", KIND), ("burst", "DjangoStatic")];
        let bursting = self.create("burst", KIND, 1_000, |_| ());
        let singles = async {
            let mut created = Vec::new();
            for n in 0..40 {
                for (namespace, kind) in others {
                    let name = format!("single-{n}");
                    self.api.post(&api::tasks(namespace, kind), &api::task(kind, &name)).await?;
                    created.push((format!("{namespace}/{name}"), Instant::now()));
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Ok(created)
        };
        let ((), created) = futures::try_join!(bursting, singles)?;
        self.ended(&seen, 1_000 + created.len()).await;
        let jobs = seen.jobs.lock().unwrap();
        let mut waits: Vec<Duration> =
            created.iter().map(|(key, at)| jobs[key].posted.unwrap().saturating_duration_since(*at)).collect();
        waits.sort();
        let measured = format!("{:.2} s / {:.2} s", percentile(&waits, 0.5) / 1e3, percentile(&waits, 0.99) / 1e3);
        row("80 single tasks during 1,000", "created to Job seen, p50 / p99", measured, "p99 3 s");
        row(
            "80 single tasks during 1,000",
            "most others of the 1,000 by which one was overtaken",
            overtaken(&seen, "burst/t"),
            "",
        );
        Ok(())
    }

    /// Single tasks of another namespace while every call that creates a Job in one namespace hangs in a webhook.
    async fn hanging(&self) -> Result<()> {
        let (hanging, quiet) = ("hanging", "quiet-beside");
        self.api.furnish(hanging).await?;
        self.api.furnish(quiet).await?;
        let silent = std::net::TcpListener::bind("127.0.0.1:0")?; // it never answers
        let url = format!("https://127.0.0.1:{}/", silent.local_addr()?.port());
        let webhook = json!({
            "metadata": {"name": hanging},
            "webhooks": [{
                "name": "hangs.django.my.domain", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": {"url": url}, "timeoutSeconds": 30,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": hanging}},
                "rules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]}],
            }],
        });
        let webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        self.api.post(webhooks, &webhook).await?;
        tokio::time::sleep(Duration::from_secs(3)).await; // until the API server has come to know it
        let _operator = self.operators.start(&format!("{hanging},{quiet}"), &[]).await?;
        let seen = self.simulation.reset();
        self.create(hanging, KIND, 200, |_| ()).await?;
        tokio::time::sleep(Duration::from_secs(3)).await; // until they hold what they can
        let mut waits = Vec::new();
        for n in 0..40 {
            let name = format!("single-{n}");
            self.api.post(&api::tasks(quiet, KIND), &api::task(KIND, &name)).await?;
            let created = Instant::now();
            self.ended(&seen, n + 1).await;
            waits.push(
                seen.jobs.lock().unwrap()[&format!("{quiet}/{name}")]
                    .posted
                    .unwrap()
                    .saturating_duration_since(created),
            );
        }
        waits.sort();
        let measured = format!("{:.0} ms / {:.0} ms", percentile(&waits, 0.5), percentile(&waits, 0.99));
        row("40 single tasks beside 200 that hang", "created to Job seen, p50 / p99", measured, "p99 3 s");
        self.api.call("DELETE", &format!("{webhooks}/{hanging}"), None).await?;
        Ok(())
    }

    /// Jobs that get no pods, of which events are to say why.
    async fn no_pods(&self) -> Result<()> {
        self.api.furnish("no-pods").await?;
        self.simulation.makes_pods.store(false, Ordering::Relaxed);
        let operator = self.operators.start("no-pods", &[]).await?;
        let (audit, seen, begun) = (Audit::begin()?, self.simulation.reset(), Instant::now());
        self.create("no-pods", KIND, 1_000, |_| ()).await?;
        while seen.jobs.lock().unwrap().len() < 1_000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        row("1,000 without pods", "all Jobs created in", format!("{:.1} s", begun.elapsed().as_secs_f64()), "");
        let cpu = operator.cpu();
        tokio::time::sleep(Duration::from_secs(60)).await; // the minute that is measured
        let lists = audit.entries(USER)?.iter().filter(|e| e.verb == "list" && e.resource == "events").count();
        row("1,000 without pods", "LISTs of events until a minute later", lists, "");
        row("1,000 without pods", "processor time in that minute", format!("{:.2} s", operator.cpu() - cpu), "");
        self.simulation.makes_pods.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn limit(&self) -> Result<()> {
        self.api.furnish("limit").await?;
        self.simulation.work.store(1_000, Ordering::Relaxed);
        let operator = self.operators.start("limit", &[("MAX_CONCURRENT_JOBS", "20")]).await?;
        let (audit, seen, begun) = (Audit::begin()?, self.simulation.reset(), Instant::now());
        self.create("limit", KIND, 1_000, |_| ()).await?;
        self.ended(&seen, 1_000).await;
        let seconds = begun.elapsed().as_secs_f64();
        self.ready("limit", KIND, 1_000).await?;
        self.simulation.work.store(0, Ordering::Relaxed);
        row(
            "1,000 of a second, MAX_CONCURRENT_JOBS=20",
            "all ended in",
            format!("{seconds:.1} s"),
            "50 s and what the calls take",
        );
        let (most, mean) = open(&seen);
        row(
            "1,000 of a second, MAX_CONCURRENT_JOBS=20",
            "open at most / on average",
            format!("{most} / {mean:.1}"),
            "20 / 20",
        );
        row(
            "1,000 of a second, MAX_CONCURRENT_JOBS=20",
            "most others by which one was overtaken",
            overtaken(&seen, "limit/t"),
            "",
        );
        let failed = audit.entries(USER)?.iter().filter(|e| e.code >= 400).count();
        row("1,000 of a second, MAX_CONCURRENT_JOBS=20", "calls that failed", failed, "0");
        row("1,000 of a second, MAX_CONCURRENT_JOBS=20", "processor time", format!("{:.1} s", operator.cpu()), "");
        Ok(())
    }

    async fn namespaces(&self) -> Result<()> {
        let names: Vec<String> = (0..100).map(|n| format!("many-{n:03}")).collect();
        for name in &names {
            self.api.furnish(name).await?;
        }
        for (case, namespaces) in [
            ("1 namespace", names[0].clone()),
            ("100 namespaces by list", names.join(",")),
            ("all namespaces", String::new()),
        ] {
            let audit = Audit::begin()?;
            let operator: Operator = self.operators.start(&namespaces, &[]).await?;
            let ready = operator.age();
            tokio::time::sleep(Duration::from_secs(5)).await; // what the start leaves to be done
            row(
                case,
                "ready in",
                format!("{:.2} s", ready.as_secs_f64()),
                if case.starts_with("100") { "2 s" } else { "" },
            );
            row(
                case,
                "resident memory",
                format!("{:.1} MB", operator.memory().0),
                if case.starts_with("100") { "30 MB" } else { "" },
            );
            row(case, "connections", operator.connections(), "");
            let refused = audit.entries(USER)?.iter().filter(|e| e.code == 429).count();
            row(case, "calls answered 429", refused, "0");
        }
        Ok(())
    }
}

/// Jobs per second since then.
fn rate(seen: &Seen, begun: Instant) -> f64 {
    let jobs = seen.jobs.lock().unwrap();
    let last = jobs.values().filter_map(|times| times.posted).max().unwrap_or(begun);
    jobs.len() as f64 / last.duration_since(begun).as_secs_f64()
}

fn beside(own: f64, bare: f64) -> String {
    format!("{own:.1} beside {bare:.1}: {:.2}", own / bare)
}

/// The most Jobs of higher names that came before one. Tasks are created by name.
fn overtaken(seen: &Seen, prefix: &str) -> usize {
    let order = seen.order.lock().unwrap();
    let order: Vec<&String> = order.iter().filter(|key| key.starts_with(prefix)).collect();
    let before = |at: usize| order[..at].iter().filter(|key| **key > order[at]).count();
    (0..order.len()).map(before).max().unwrap_or_default()
}

/// How many Jobs were open, at most and on average, from the first to the last that was created.
fn open(seen: &Seen) -> (usize, f64) {
    let jobs = seen.jobs.lock().unwrap();
    let mut moments: Vec<(Instant, i64)> =
        jobs.values().filter_map(|times| Some([(times.posted?, 1), (times.ended?, -1)])).flatten().collect();
    moments.sort();
    let last = jobs.values().filter_map(|times| times.posted).max();
    let (mut now, mut most, mut sum) = (0, 0, 0.0);
    for pair in moments.windows(2) {
        now += pair[0].1;
        most = most.max(now);
        if Some(pair[1].0) <= last {
            sum += now as f64 * pair[1].0.duration_since(pair[0].0).as_secs_f64();
        }
    }
    let first = moments.first().map(|(at, _)| *at);
    let seconds = last.zip(first).map_or(1.0, |(last, first)| last.duration_since(first).as_secs_f64());
    (most as usize, sum / seconds)
}
