//! What the operator's own account may do, so that a stolen token is worth less than what its role says.

use super::expressions::{differ, is_operator, list, operators, own_annotations_differ, shown, task_api_version};
use super::{AdmissionPolicy, Resources, TaskKinds, Validation};
use crate::names;

const REQUESTER: &str = "request.userInfo.username";
/// What Pod Security's baseline lets a pod have.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// How the annotations begin by which AppArmor was asked for, up to the container's name.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SELINUX_TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Only the operator hands out the helper. Never about DELETE, nor about updates of metadata, such as a deletion's: a
/// namespace has to be deletable whoever deletes it.
pub fn helper() -> AdmissionPolicy {
    let prefix = names::HELPER_PREFIX;
    let written = ["data", "binaryData", "immutable"].map(|field| format!("object.?{field} != oldObject.?{field}"));
    AdmissionPolicy {
        name: "helper",
        description: "ConfigMaps with the names of the helper's are written by the operator's account alone.",
        resources: vec![Resources::new("", "v1", &["configmaps"])],
        labels: None,
        conditions: vec![
            ("is-the-helper", format!("object.metadata.name.startsWith('{prefix}')")),
            ("is-written", format!("request.operation == 'CREATE' || {}", written.join(" || "))),
        ],
        variables: vec![],
        validations: vec![Validation {
            expression: is_operator(REQUESTER),
            message: format!(
                "ConfigMap {{object.metadata.name}}: names that begin with {prefix} are the helper's, which only the operator's account writes ({}), and not {{request.userInfo.username}}; use another name",
                operators()
            ),
        }],
        parameters: None,
    }
}

/// Jobs of tasks that keep to the baseline, their release, and the helper.
pub fn account(kinds: &TaskKinds) -> AdmissionPolicy {
    AdmissionPolicy {
        name: "account",
        description: "The operator's account makes Jobs of tasks that keep to Pod Security's baseline, releases them, and creates the helper's ConfigMap, and nothing else of these kinds.",
        resources: vec![Resources::new("batch", "v1", &["jobs"]), Resources::new("", "v1", &["configmaps"])],
        labels: None,
        conditions: vec![("is-an-operator", is_operator(REQUESTER))],
        variables: account_variables(),
        validations: [ownership(kinds), pod_rules(), writes()].into_iter().flatten().collect(),
        parameters: None,
    }
}

fn account_variables() -> Vec<(&'static str, String)> {
    let containers = |test: &str| format!("variables.containers.filter(c, {test}).map(c, c.name)");
    // Of the containers and of the pod itself.
    let contexts = |test: &str| format!("variables.contexts.filter(c, {test}).map(c, c.name)");
    let capabilities = list(CAPABILITIES);
    let (selinux, sysctls) = (list(SELINUX_TYPES), list(SYSCTLS));
    vec![
        ("createsJob", "request.resource.resource == 'jobs' && request.operation == 'CREATE'".into()),
        ("owners", "dyn(object).metadata.?ownerReferences.orValue([])".into()),
        ("pod", "variables.createsJob ? dyn(object).spec.template.spec : dyn({})".into()),
        ("containers", "variables.pod.?containers.orValue([]) + variables.pod.?initContainers.orValue([])".into()),
        (
            "contexts",
            "variables.containers.map(c, {'name': dyn(c.name), 'has': c.?securityContext.orValue({})}) + [{'name': dyn('of the pod'), 'has': variables.pod.?securityContext.orValue({})}]".into(),
        ),
        (
            "privileged",
            contexts("c.has.?privileged.orValue(false) || c.has.?windowsOptions.?hostProcess.orValue(false)"),
        ),
        (
            "beyondBaseline",
            contexts(&format!(
                "c.has.?capabilities.?add.orValue([]).exists(capability, !(capability in {capabilities})) || c.has.?procMount.orValue('Default') != 'Default' || c.has.?seccompProfile.?type.orValue('') == 'Unconfined' || c.has.?appArmorProfile.?type.orValue('') == 'Unconfined' || !(c.has.?seLinuxOptions.?type.orValue('') in {selinux}) || c.has.?seLinuxOptions.?user.orValue('') != '' || c.has.?seLinuxOptions.?role.orValue('') != '' || c.has.?sysctls.orValue([]).exists(sysctl, !(sysctl.name in {sysctls}))"
            )),
        ),
        ("hostPorts", containers("c.?ports.orValue([]).exists(port, port.?hostPort.orValue(0) != 0)")),
        (
            "probedHosts",
            containers("['startupProbe', 'livenessProbe', 'readinessProbe'].exists(probe, c[?probe].?httpGet.?host.orValue('') != '' || c[?probe].?tcpSocket.?host.orValue('') != '') || ['postStart', 'preStop'].exists(hook, c.?lifecycle[?hook].?httpGet.?host.orValue('') != '' || c.?lifecycle[?hook].?tcpSocket.?host.orValue('') != '')"),
        ),
        ("annotations", "variables.createsJob ? dyn(object).spec.template.?metadata.?annotations.orValue({}) : {}".into()),
        (
            "unconfined",
            format!("variables.annotations.map(key, key).filter(key, key.startsWith('{APPARMOR}') && !(variables.annotations[key] == 'runtime/default' || variables.annotations[key].startsWith('localhost/'))).map(key, key.substring({}))", APPARMOR.len()),
        ),
        ("hostPaths", "variables.pod.?volumes.orValue([]).filter(v, has(v.hostPath)).map(v, v.name)".into()),
        (
            "hostNamespaces",
            "['hostNetwork', 'hostPID', 'hostIPC'].filter(field, variables.pod[?field].orValue(false))".into(),
        ),
        ("serviceAccount", "variables.pod.?serviceAccountName.orValue('default')".into()),
        ("user", "'system:serviceaccount:' + request.namespace + ':' + variables.serviceAccount".into()),
    ]
}

/// Whose a Job is.
fn ownership(kinds: &TaskKinds) -> Vec<Validation> {
    let (label, operator, version) = (names::MANAGED_BY_LABEL, names::OPERATOR, task_api_version());
    let kinds = list(kinds.names);
    let owner = format!(
        "variables.owners[0].apiVersion == '{version}' && variables.owners[0].kind in {kinds} && variables.owners[0].?controller.orValue(false)"
    );
    vec![
        Validation {
            expression: format!(
                "!variables.createsJob || dyn(object).metadata.?labels[?'{label}'].orValue('') == '{operator}' && variables.owners.size() == 1 && {owner}"
            ),
            message: format!(
                "the Jobs of {{request.userInfo.username}} have the label {label}={operator} and one owner, a task of {version}; make others with another account"
            ),
        },
        Validation {
            expression: format!(
                "!variables.createsJob || !(variables.user == {REQUESTER} || {})",
                is_operator("variables.user")
            ),
            message: "service account {variables.serviceAccount}: no Job of a task works as an operator; give the target a service account of its own".into(),
        },
    ]
}

/// What its pods may have.
fn pod_rules() -> Vec<Validation> {
    let none = |variable: &str, what: &str, why: &str| Validation {
        expression: format!("variables.{variable}.size() == 0"),
        message: format!("{what}{}: {why}", shown(&format!("variables.{variable}"))),
    };
    let or_drop = format!(
        "or leave the container out by the target's annotation {} if it is not Django's",
        names::DROP_CONTAINERS_ANNOTATION
    );
    vec![
        none("hostNamespaces", "", "no Job of a task has the node's namespaces; take it out of the pod template"),
        none("hostPaths", "volumes ", "no Job of a task mounts a hostPath; use a PersistentVolumeClaim"),
        none(
            "privileged",
            "containers ",
            &format!("no Job of a task is privileged; take it out of the securityContext, {or_drop}"),
        ),
        none(
            "beyondBaseline",
            "containers ",
            &format!(
                "no Job of a task goes beyond Pod Security's baseline (capabilities, seccomp, AppArmor, SELinux, sysctls, procMount); keep the securityContext to it, {or_drop}"
            ),
        ),
        none(
            "unconfined",
            "containers ",
            &format!(
                "no Job of a task goes without AppArmor's profile; take the annotation {APPARMOR}... out of the pod template"
            ),
        ),
        none(
            "hostPorts",
            "containers ",
            "no Job of a task has ports of the node; take hostPort out of the pod template",
        ),
        none(
            "probedHosts",
            "containers ",
            "no Job of a task probes or calls another host; take host out of the probe or the lifecycle",
        ),
    ]
}

/// Changes of a Job, and ConfigMaps.
fn writes() -> Vec<Validation> {
    let prefix = names::HELPER_PREFIX;
    let unchanged = |path: &str| format!("dyn(object).metadata.?{path} == dyn(oldObject).metadata.?{path}");
    // What else is on a Job may be the work of the cluster's mutating admission.
    let released = [
        format!("!{}", differ("dyn(object).spec", "dyn(oldObject).spec", "key == 'suspend'")),
        "(dyn(oldObject).spec.?suspend.orValue(false) || !dyn(object).spec.?suspend.orValue(false))".to_owned(),
        format!("dyn(oldObject).metadata.?labels[?'{}'].orValue('') == '{}'", names::MANAGED_BY_LABEL, names::OPERATOR),
        unchanged("ownerReferences"),
        unchanged("finalizers"),
        unchanged(&format!("labels[?'{}']", names::MANAGED_BY_LABEL)),
        unchanged(&format!("labels[?'{}']", names::KIND_LABEL)),
        format!("!{}", own_annotations_differ(&[names::HELD_ANNOTATION])),
    ];
    vec![
        Validation {
            expression: format!(
                "request.resource.resource != 'jobs' || request.operation != 'UPDATE' || {}",
                released.join(" && ")
            ),
            message: "{request.userInfo.username} lets its own Jobs begin, and changes nothing else of a Job; make other changes with another account".into(),
        },
        Validation {
            expression: format!(
                "request.resource.resource != 'configmaps' || request.operation == 'CREATE' && dyn(object).metadata.name.startsWith('{prefix}') && dyn(object).?immutable.orValue(false)"
            ),
            message: format!(
                "{{request.userInfo.username}} creates ConfigMaps alone that are immutable and whose names begin with {prefix}; write others with another account"
            ),
        },
    ]
}
