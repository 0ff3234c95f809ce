//! From the target's pod template to the Job's, as raw JSON from end to end: a field that no rule names
//! is kept, also one that is newer than this program.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::core::json::{items, name_of, string_map, text};
use crate::core::{Blocked, Reason};
use crate::names;

/// What admission reads from a pod's labels, and so has to stay.
const ADMISSION_LABELS: &[&str] = &["azure.workload.identity/use", "sidecar.istio.io/inject", "istio.io/rev"];
/// Label prefix of Kueue, which admission reads as well.
const KUEUE: &str = "kueue.x-k8s.io/";
/// Fields of a pod that mean nothing, or harm, in a Job.
const POD_FIELDS_DROPPED: &[&str] = &[
    "topologySpreadConstraints",
    "nodeName",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "readinessGates",
    "schedulingGates",
    "activeDeadlineSeconds",
];
/// Fields of the Django container that belong to serving requests.
const SERVING_FIELDS: &[&str] = &[
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "restartPolicy",
    "restartPolicyRules",
    "resizePolicy",
];
/// Injectors whose sidecar ends with a Job only if they are told: what shows them, and what tells them.
const INJECTORS: &[(&str, &str, &str)] = &[
    ("vault.hashicorp.com/agent-inject", "vault.hashicorp.com/agent-pre-populate-only", "true"),
    ("linkerd.io/inject", "config.beta.linkerd.io/proxy-enable-native-sidecar", "true"),
    ("sidecar.istio.io/inject", "sidecar.istio.io/nativeSidecar", "true"),
    ("istio.io/rev", "sidecar.istio.io/nativeSidecar", "true"),
];

/// Volumes that outlive a pod; all others, known or not, are taken to end with it.
const LASTING_VOLUMES: &[&str] = &[
    "persistentVolumeClaim",
    "hostPath",
    "nfs",
    "iscsi",
    "fc",
    "rbd",
    "cephfs",
    "glusterfs",
    "cinder",
    "azureDisk",
    "azureFile",
    "awsElasticBlockStore",
    "gcePersistentDisk",
    "vsphereVolume",
    "portworxVolume",
    "flexVolume",
];

/// The object that a pod template was read from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Deployment or PodTemplate.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its annotations, over those of its template.
    pub annotations: BTreeMap<String, String>,
    /// What selects the target's own pods; none for a PodTemplate.
    pub selector: Option<LabelSelector>,
    /// The template.
    pub template: Value,
}

impl Source {
    /// From a live Deployment or PodTemplate.
    pub fn from_object(kind: &str, object: &Value) -> Self {
        let template = match kind {
            "Deployment" => &object["spec"]["template"],
            _ => &object["template"],
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut annotations = string_map(&template["metadata"]["annotations"]);
        annotations.extend(string_map(&object["metadata"]["annotations"]));
        Self {
            kind: kind.to_owned(),
            name: text(&object["metadata"]["name"]),
            uid: text(&object["metadata"]["uid"]),
            annotations,
            selector: serde_json::from_value(object["spec"]["selector"].clone()).ok(),
            template: template.clone(),
        }
    }

    /// Labels of the template.
    pub fn labels(&self) -> BTreeMap<String, String> {
        string_map(&self.template["metadata"]["labels"])
    }

    /// One annotation of the target.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }

    /// The Django container.
    pub fn container(&self, wanted: Option<&str>) -> Result<Value, Blocked> {
        let containers = items(&self.template["spec"]["containers"]);
        let names: Vec<&str> = containers.iter().filter_map(|c| c["name"].as_str()).collect();
        let target = format!("{} {}", self.kind, self.name);
        let default = self.template["metadata"]["annotations"][names::DEFAULT_CONTAINER].as_str();
        let chosen = super::target::container(&names, wanted, default, &target)?;
        containers
            .into_iter()
            .find(|c| c["name"] == chosen.as_str())
            .ok_or_else(|| Blocked::stalled(Reason::ContainerNotFound, format!("{target} has no container {chosen:?}")))
    }
}

/// What became of the template's parts: an annotation of the Job, and printed by `render`.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct TemplateChanges {
    /// Containers and volumes that were copied.
    pub copied: Vec<String>,
    /// What was copied in another form.
    pub converted: Vec<String>,
    /// What was left out.
    pub dropped: Vec<String>,
}

/// The template with everything decided that does not depend on the command.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Metadata and spec; the Django container is the only one left in `containers`.
    pub template: Value,
    /// What became of the parts.
    pub changes: TemplateChanges,
    /// Where the Django container sees volumes, and which of them outlive the pod.
    pub mounts: BTreeMap<String, bool>,
}

/// Copies the template for a Job whose Django container is `main`.
pub fn copy(source: &Source, main: &Value, own_labels: &BTreeMap<String, String>) -> Result<Copied, Blocked> {
    let mut changes = TemplateChanges::default();
    let main_name = main["name"].as_str().unwrap_or_default();
    let mut spec = source.template["spec"].as_object().cloned().unwrap_or_default();

    let mut kept_main = main.clone();
    drop_fields(&mut kept_main, SERVING_FIELDS, &format!("container {main_name}"), &mut changes);
    changes.copied.push(format!("container {main_name}"));

    let plan = ContainerSelection::of(source, main)?;
    let mut inits = Vec::new();
    for init in items(&source.template["spec"]["initContainers"]) {
        if plan.keeps(&init) {
            changes.copied.push(format!("init container {}", name_of(&init)));
            inits.push(without_host_ports(init, &mut changes));
        } else {
            changes.dropped.push(format!("init container {}", name_of(&init)));
        }
    }
    for container in items(&source.template["spec"]["containers"]) {
        if name_of(&container) == main_name {
            continue;
        }
        if plan.keeps(&container) {
            changes.converted.push(format!("container {} to a native sidecar", name_of(&container)));
            inits.push(without_host_ports(native_sidecar(container), &mut changes));
        } else {
            changes.dropped.push(format!("container {}", name_of(&container)));
        }
    }

    for field in POD_FIELDS_DROPPED {
        if spec.remove(*field).is_some() {
            changes.dropped.push((*field).to_owned());
        }
    }
    spec.insert("restartPolicy".into(), json!("Never"));
    spec.insert("containers".into(), json!([kept_main]));
    match inits.is_empty() {
        true => spec.remove("initContainers"),
        false => spec.insert("initContainers".into(), json!(inits)),
    };
    let kept: Vec<Value> = inits.into_iter().chain([kept_main]).collect();
    let volumes = keep_volumes(&mut spec, &kept, &mut changes);
    keep_affinity(&mut spec, source, &volumes, &mut changes);

    let labels = labels(source, own_labels, &mut changes)?;
    refuse_dangling(&kept, &volumes, source, &labels)?;
    let metadata = json!({ "labels": labels, "annotations": annotations(source, main_name, &mut changes) });
    Ok(Copied { mounts: mounts(main, &volumes), template: json!({ "metadata": metadata, "spec": spec }), changes })
}

/// Which of the other containers go along.
struct ContainerSelection {
    main_image: String,
    keep: BTreeSet<String>,
    drop: BTreeSet<String>,
}

impl ContainerSelection {
    fn of(source: &Source, main: &Value) -> Result<Self, Blocked> {
        let spec = &source.template["spec"];
        let all: BTreeSet<String> = [&spec["containers"], &spec["initContainers"]]
            .into_iter()
            .flat_map(|v| items(v))
            .map(|c| name_of(&c).to_owned())
            .collect();
        let named = |annotation: &str| -> Result<BTreeSet<String>, Blocked> {
            let names: BTreeSet<String> = comma_separated(source.annotation(annotation)).collect();
            match names.iter().find(|name| !all.contains(*name) || *name == name_of(main)) {
                None => Ok(names),
                Some(name) => Err(unusable(
                    source,
                    format!(
                        "annotation {annotation} names {name:?}; write names of containers other than {:?}, of these: {}",
                        name_of(main),
                        all.iter().cloned().collect::<Vec<_>>().join(", ")
                    ),
                )),
            }
        };
        let (keep, drop) = (named(names::KEEP_CONTAINERS)?, named(names::DROP_CONTAINERS)?);
        if let Some(both) = keep.intersection(&drop).next() {
            return Err(unusable(
                source,
                format!(
                    "annotations {} and {} both name {both:?}; name it in one of them",
                    names::KEEP_CONTAINERS,
                    names::DROP_CONTAINERS
                ),
            ));
        }
        Ok(Self { main_image: text(&main["image"]), keep, drop })
    }

    /// A container of Django's own image would work twice, or wait for itself.
    fn keeps(&self, container: &Value) -> bool {
        let name = name_of(container);
        self.keep.contains(name) || (text(&container["image"]) != self.main_image && !self.drop.contains(name))
    }
}

/// A container that Kubernetes starts before Django and stops after it. It counts as started when it is
/// ready, so that Django finds it working.
fn native_sidecar(mut container: Value) -> Value {
    container["restartPolicy"] = json!("Always");
    if let Some(fields) = container.as_object_mut() {
        let readiness = fields.remove("readinessProbe");
        if !fields.contains_key("startupProbe")
            && let Some(mut probe) = readiness
        {
            if let Some(probe) = probe.as_object_mut() {
                probe.remove("successThreshold"); // a startup probe knows only 1
            }
            fields.insert("startupProbe".into(), probe);
        }
    }
    container
}

/// Host ports belong to the target's pods, and a pod that never restarts may not ask for restarts on resizing.
fn without_host_ports(mut container: Value, changes: &mut TemplateChanges) -> Value {
    let name = name_of(&container).to_owned();
    drop_fields(&mut container, &["resizePolicy"], &format!("container {name}"), changes);
    if let Some(ports) = container.get_mut("ports").and_then(Value::as_array_mut) {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            if port.remove("hostPort").is_some() | port.remove("hostIP").is_some() {
                changes.dropped.push(format!("host port of container {name}"));
            }
        }
    }
    container
}

/// Volumes that a kept container mounts, by name.
fn keep_volumes(
    spec: &mut Map<String, Value>,
    kept: &[Value],
    changes: &mut TemplateChanges,
) -> BTreeMap<String, Value> {
    let mounted: BTreeSet<String> = kept
        .iter()
        .flat_map(|c| [items(&c["volumeMounts"]), items(&c["volumeDevices"])].concat())
        .map(|mount| name_of(&mount).to_owned())
        .collect();
    let (volumes, unused): (Vec<Value>, Vec<Value>) =
        items(&spec.remove("volumes").unwrap_or_default()).into_iter().partition(|v| mounted.contains(name_of(v)));
    changes.copied.extend(volumes.iter().map(|v| format!("volume {}", name_of(v))));
    changes.dropped.extend(unused.iter().map(|v| format!("volume {}", name_of(v))));
    if !volumes.is_empty() {
        spec.insert("volumes".into(), json!(volumes));
    }
    volumes.into_iter().map(|v| (name_of(&v).to_owned(), v)).collect()
}

/// Node affinity stays; affinity to pods goes, as the Job's pod is not one of the target's. With a claim
/// that only one node may mount, the pod had better go to where the target's pods are.
fn keep_affinity(
    spec: &mut Map<String, Value>,
    source: &Source,
    volumes: &BTreeMap<String, Value>,
    changes: &mut TemplateChanges,
) {
    let mut affinity = spec.remove("affinity").and_then(|a| a.as_object().cloned()).unwrap_or_default();
    for field in ["podAffinity", "podAntiAffinity"] {
        if affinity.remove(field).is_some() {
            changes.dropped.push(format!("affinity.{field}"));
        }
    }
    if let Some(selector) = &source.selector
        && volumes.values().any(|v| v.get("persistentVolumeClaim").is_some())
    {
        affinity.insert(
            "podAffinity".into(),
            json!({"preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector},
            }]}),
        );
        changes.converted.push("persistentVolumeClaim to a preference for the node of the target's pods".into());
    }
    if !affinity.is_empty() {
        spec.insert("affinity".into(), Value::Object(affinity));
    }
}

/// Own labels, those that admission reads, and those that the target's owner asks for: never a set by
/// which a Service, PodDisruptionBudget or autoscaler of the application would take the Job's pod.
fn labels(
    source: &Source,
    own: &BTreeMap<String, String>,
    changes: &mut TemplateChanges,
) -> Result<BTreeMap<String, String>, Blocked> {
    let template = source.labels();
    let selecting: BTreeSet<&String> = source.selector.iter().flat_map(selector_keys).collect();
    let mut labels = BTreeMap::new();
    for (key, value) in &template {
        let read = ADMISSION_LABELS.contains(&key.as_str()) || key.starts_with(KUEUE);
        if read && !selecting.contains(key) {
            labels.insert(key.clone(), value.clone());
        } else {
            changes.dropped.push(format!("label {key}"));
        }
    }
    for word in comma_separated(source.annotation(names::JOB_LABELS)) {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (word.clone(), template.get(&word).cloned()),
        };
        let Some(value) = value else {
            return Err(unusable(
                source,
                format!(
                    "annotation {}: the pod template has no label {key:?}; write one of its labels, or key=value",
                    names::JOB_LABELS
                ),
            ));
        };
        changes.dropped.retain(|d| *d != format!("label {key}"));
        labels.insert(key, value);
    }
    labels.extend(own.clone());
    if let Some(selector) = &source.selector
        && Selector::try_from(selector.clone()).is_ok_and(|s| s.matches(&labels))
    {
        return Err(unusable(
            source,
            format!(
                "annotation {}: with these labels the {}'s own selector would take the Job's pod; leave out one of: {}",
                names::JOB_LABELS,
                source.kind,
                selecting.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", ")
            ),
        ));
    }
    changes.copied.extend(labels.keys().filter(|k| !own.contains_key(*k)).map(|k| format!("label {k}")));
    Ok(labels)
}

fn selector_keys(selector: &LabelSelector) -> Vec<&String> {
    let exact = selector.match_labels.iter().flat_map(BTreeMap::keys);
    let others = selector.match_expressions.iter().flatten().map(|e| &e.key);
    exact.chain(others).collect()
}

/// All annotations, with the injectors told that this is a Job.
fn annotations(source: &Source, main: &str, changes: &mut TemplateChanges) -> BTreeMap<String, String> {
    let mut annotations = string_map(&source.template["metadata"]["annotations"]);
    let labels = source.labels();
    for (shown_by, tell, value) in INJECTORS {
        let injected = annotations.get(*shown_by).or_else(|| labels.get(*shown_by));
        if injected.is_some_and(|v| v != "false" && v != "disabled")
            && annotations.insert((*tell).to_owned(), (*value).to_owned()).as_deref() != Some(*value)
        {
            changes.converted.push(format!("annotation {tell} for {shown_by}"));
        }
    }
    annotations.insert(names::DEFAULT_CONTAINER.to_owned(), main.to_owned());
    annotations
}

/// A reference to something that was left out would be empty, or keep the pod from starting.
fn refuse_dangling(
    kept: &[Value],
    volumes: &BTreeMap<String, Value>,
    source: &Source,
    labels: &BTreeMap<String, String>,
) -> Result<(), Blocked> {
    let containers: BTreeSet<&str> = kept.iter().map(name_of).collect();
    let env = kept.iter().flat_map(|c| {
        let place = format!("container {}: env", name_of(c));
        items(&c["env"]).into_iter().map(move |e| (format!("{place} {}", name_of(&e)), e["valueFrom"].clone()))
    });
    let items = volumes.values().flat_map(|v| {
        let own = items(&v["downwardAPI"]["items"]);
        let projected = items(&v["projected"]["sources"]).into_iter().flat_map(|s| items(&s["downwardAPI"]["items"]));
        let place = format!("volume {}", name_of(v));
        own.into_iter()
            .chain(projected)
            .map(move |item| (format!("{place} {}", text(&item["path"])), item))
            .collect::<Vec<_>>()
    });
    for (place, reference) in env.chain(items) {
        if let Some(name) = reference["resourceFieldRef"]["containerName"].as_str()
            && !containers.contains(name)
        {
            return Err(unusable(
                source,
                format!(
                    "{place}: resourceFieldRef names container {name:?}, which the Job leaves out; keep it by the annotation {}, or remove the reference",
                    names::KEEP_CONTAINERS
                ),
            ));
        }
        let label = reference["fieldRef"]["fieldPath"]
            .as_str()
            .and_then(|path| path.strip_prefix("metadata.labels['"))
            .and_then(|rest| rest.strip_suffix("']"));
        if let Some(label) = label
            && !labels.contains_key(label)
        {
            return Err(unusable(
                source,
                format!(
                    "{place}: fieldRef names the label {label:?}, which the Job's pod does not carry; add it by the annotation {}, or remove the reference",
                    names::JOB_LABELS
                ),
            ));
        }
    }
    Ok(())
}

/// Where the Django container sees volumes, and which of them outlive the pod.
fn mounts(main: &Value, volumes: &BTreeMap<String, Value>) -> BTreeMap<String, bool> {
    let lasts = |mount: &Value| {
        mount["readOnly"] != json!(true)
            && volumes.get(name_of(mount)).is_some_and(|v| LASTING_VOLUMES.iter().any(|kind| v.get(*kind).is_some()))
    };
    items(&main["volumeMounts"]).iter().map(|mount| (text(&mount["mountPath"]), lasts(mount))).collect()
}

fn drop_fields(container: &mut Value, fields: &[&str], place: &str, changes: &mut TemplateChanges) {
    if let Some(map) = container.as_object_mut() {
        for field in fields {
            if map.remove(*field).is_some() {
                changes.dropped.push(format!("{field} of {place}"));
            }
        }
    }
}

fn unusable(source: &Source, message: String) -> Blocked {
    Blocked::stalled(Reason::TemplateUnusable, format!("{} {}: {message}", source.kind, source.name))
}

fn comma_separated(text: Option<&str>) -> impl Iterator<Item = String> + '_ {
    text.unwrap_or_default().split(',').map(|w| w.trim().to_owned()).filter(|w| !w.is_empty())
}
