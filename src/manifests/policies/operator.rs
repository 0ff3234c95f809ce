//! What the operator's own account may do, so that a stolen token is worth no more than the tasks are.

use super::requests::DIGEST_PARAMETER;
use super::{AdmissionPolicy, Validation, in_parameters, parameter_key, parameters, resources, words};
use crate::api::GROUP;
use crate::names;

/// Capabilities that Pod Security's baseline lets a container add.
const BASELINE_CAPABILITIES: &str = "['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT']";

/// Only the operator hands out the helper. Never about DELETE, nor about what is being deleted: a namespace has to be
/// deletable whoever deletes it.
pub fn helper() -> AdmissionPolicy {
    AdmissionPolicy {
        name: "django-operator-helper",
        description: "ConfigMaps with the names of the helper's are written by the operator's account alone, which is the parameter operator.",
        resources: vec![resources("", "v1", &["configmaps"])],
        conditions: vec![
            ("is-the-helper", format!("object.metadata.name.startsWith('{}')", names::HELPER_PREFIX)),
            ("stays", "request.operation == 'CREATE' || !has(oldObject.metadata.deletionTimestamp)".into()),
        ],
        variables: vec![
            parameters(),
            ("operatorKey", parameter_key("operator")),
            ("operator", "variables.parameters[?variables.operatorKey].orValue('')".into()),
        ],
        validations: vec![Validation {
            expression: format!(
                "{}.exists(account, account == request.userInfo.username)",
                words("variables.operator")
            ),
            message: format!(
                "ConfigMap {{object.metadata.name}}: names that begin with {} are the helper's, which only {{variables.operator}} writes, and not {{request.userInfo.username}}; use another name, or change {}",
                names::HELPER_PREFIX,
                in_parameters("operatorKey")
            ),
        }],
        parameterised: true,
    }
}

/// Jobs of tasks that are not privileged, their release, and the helper.
pub fn account() -> AdmissionPolicy {
    let is_job = "request.resource.resource == 'jobs'";
    let offenders = |test: &str| format!("variables.containers.filter(c, {test}).map(c, c.name)");
    let refuses = |variable: &str, what: &str, why: &str| Validation {
        expression: format!("variables.{variable}.size() == 0"),
        message: format!("{what}{{variables.{variable}.join(', ')}}: {why}"),
    };
    AdmissionPolicy {
        name: "django-operator-account",
        description: "The operator's account makes Jobs of tasks that are not privileged, releases them, and writes the helper's ConfigMap, and nothing else of these kinds.",
        resources: vec![resources("batch", "v1", &["jobs"]), resources("", "v1", &["configmaps"])],
        conditions: vec![(
            "is-an-operator",
            format!(
                "has(params.data) && params.data.exists(key, (key == 'operator' || key.startsWith('operator.')) && {}.exists(account, account == request.userInfo.username))",
                words("params.data[key]")
            ),
        )],
        variables: vec![
            parameters(),
            ("createsJob", format!("{is_job} && request.operation == 'CREATE'")),
            ("pod", "variables.createsJob ? dyn(object).spec.template.spec : dyn({})".into()),
            ("containers", "variables.pod.?containers.orValue([]) + variables.pod.?initContainers.orValue([])".into()),
            (
                "privileged",
                offenders(
                    "c.?securityContext.?privileged.orValue(false) || c.?securityContext.?windowsOptions.?hostProcess.orValue(false) || c.?securityContext.?procMount.orValue('Default') != 'Default'",
                ),
            ),
            (
                "capable",
                offenders(&format!(
                    "c.?securityContext.?capabilities.?add.orValue([]).exists(capability, !(capability in {BASELINE_CAPABILITIES}))"
                )),
            ),
            ("hostPorts", offenders("c.?ports.orValue([]).exists(port, port.?hostPort.orValue(0) != 0)")),
            ("digestKey", parameter_key("imagesByDigest")),
            (
                "withoutDigest",
                format!(
                    "{DIGEST_PARAMETER} != 'true' ? [] : variables.containers.filter(c, !c.?image.orValue('').contains('@')).map(c, c.image)"
                ),
            ),
            ("hostPaths", "variables.pod.?volumes.orValue([]).filter(v, has(v.hostPath)).map(v, v.name)".into()),
            (
                "hostNamespaces",
                "['hostNetwork', 'hostPID', 'hostIPC'].filter(field, variables.pod[?field].orValue(false))".into(),
            ),
            ("serviceAccount", "variables.pod.?serviceAccountName.orValue('default')".into()),
            ("serviceAccountsKey", parameter_key("serviceAccounts")),
            ("serviceAccounts", "variables.parameters[?variables.serviceAccountsKey].orValue('*')".into()),
            ("owners", "dyn(object).metadata.?ownerReferences.orValue([])".into()),
        ],
        validations: vec![
            Validation {
                expression: format!(
                    "!variables.createsJob || dyn(object).metadata.?labels[?'{label}'].orValue('') == '{operator}' && variables.owners.size() == 1 && variables.owners[0].apiVersion.startsWith('{GROUP}/') && variables.owners[0].?controller.orValue(false)",
                    label = names::MANAGED_BY_LABEL,
                    operator = names::OPERATOR
                ),
                message: format!(
                    "the Jobs of {{request.userInfo.username}} have the label {}={} and one owner, a task of {GROUP}",
                    names::MANAGED_BY_LABEL,
                    names::OPERATOR
                ),
            },
            refuses("hostNamespaces", "", "no Job of a task has the node's namespaces"),
            refuses("hostPaths", "volumes ", "no Job of a task mounts a hostPath; use a PersistentVolumeClaim"),
            refuses(
                "privileged",
                "containers ",
                "no Job of a task is privileged; leave the container out by the target's annotation django.my.domain/drop-containers",
            ),
            refuses("capable", "containers ", "no Job of a task adds capabilities beyond the baseline of Pod Security"),
            refuses("hostPorts", "containers ", "no Job of a task has ports of the node"),
            Validation {
                expression: "variables.withoutDigest.size() == 0".into(),
                message: format!(
                    "images {{variables.withoutDigest.join(', ')}} have no digest; write them as NAME@sha256:... in the target, which namespace {{request.namespace}} asks for by {}",
                    in_parameters("digestKey")
                ),
            },
            Validation {
                expression: format!(
                    "!variables.createsJob || {}.exists(account, account == '*' || account == variables.serviceAccount)",
                    words("variables.serviceAccounts")
                ),
                message: format!(
                    "service account {{variables.serviceAccount}} is not among those of namespace {{request.namespace}} ({{variables.serviceAccounts}}); to allow it, add it to {}",
                    in_parameters("serviceAccountsKey")
                ),
            },
            Validation {
                expression: format!("!({is_job} && request.operation == 'UPDATE') || {}", only_released()),
                message: "{request.userInfo.username} changes of a Job spec.suspend alone".into(),
            },
            Validation {
                expression: format!(
                    "{is_job} || request.operation == 'CREATE' && dyn(object).metadata.name.startsWith('{}') && dyn(object).?immutable.orValue(false)",
                    names::HELPER_PREFIX
                ),
                message: format!(
                    "{{request.userInfo.username}} creates ConfigMaps alone that are immutable and whose names begin with {}",
                    names::HELPER_PREFIX
                ),
            },
        ],
        parameterised: true,
    }
}

/// Whether an update changes nothing but `spec.suspend`, and the annotation that says that the operator holds the Job.
fn only_released() -> String {
    let same = |part: &str, but: &str, new: &str, old: &str| {
        format!(
            "dyn({new}).{part}.all(key, key == '{but}' || key in dyn({old}).{part} && dyn({new}).{part}[key] == dyn({old}).{part}[key])"
        )
    };
    let both = |part: &str, but: &str| {
        format!("{} && {}", same(part, but, "object", "oldObject"), same(part, but, "oldObject", "object"))
    };
    let unchanged = |field: &str| format!("dyn(object).metadata.?{field} == dyn(oldObject).metadata.?{field}");
    [
        both("spec", "suspend"),
        both("metadata.?annotations.orValue({})", names::HELD_ANNOTATION),
        unchanged("labels"),
        unchanged("ownerReferences"),
        unchanged("finalizers"),
    ]
    .join(" && ")
}
