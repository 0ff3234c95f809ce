//! The chart of an operator in a namespace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::chart::{self, Chart};
use super::template::verbatim;
use crate::manifests::manager::{self, Parts, Setting};
use crate::manifests::monitoring::{self, alerts};
use crate::manifests::{GENERATED_HEADER, TEMPLATE_HEADER, rbac, yaml};
use crate::settings::WATCH_SECONDS;

/// A label as the operator's settings have it.
const POD_LABEL: &str = " *[A-Za-z0-9./_-]+ *[:=] *[A-Za-z0-9._-]+ *";

type Object = Map<String, Value>;
type Strings = BTreeMap<String, String>;

/// Values of the operator's chart.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Values {
    /// Affinity of the operator's pod.
    affinity: Object,
    /// Alerts, as a PrometheusRule of the Prometheus Operator, about this operator alone: by the label operator_namespace, which
    /// the ServiceMonitor adds.
    alerts: Alerts,
    /// A dashboard, as a ConfigMap that Grafana's sidecar reads.
    dashboard: Dashboard,
    /// The operator's image.
    image: Image,
    /// Secrets for pulling the image.
    image_pull_secrets: Vec<SecretName>,
    /// What Prometheus and others read.
    metrics: Metrics,
    /// A NetworkPolicy for the operator's pod.
    network_policy: NetworkPolicy,
    /// Node selector of the operator's pod.
    node_selector: Strings,
    /// Annotations of the operator's pod.
    pod_annotations: Strings,
    /// Labels of the operator's pod beside its own.
    #[schemars(extend("patternProperties" = own_labels()))]
    pod_labels: Strings,
    /// Security context of the operator's pod. OpenShift chooses the user itself: set runAsUser to null there.
    pod_security_context: Object,
    /// Priority class of the operator's pod; empty: the cluster's default.
    priority_class_name: String,
    /// How many operators run. One is enough: while none runs, nothing is lost, and Jobs go on. With more than one, all
    /// but one wait for its lease.
    replicas: u32,
    /// Resources of the operator's container.
    resources: Object,
    /// The operator's service account, whose name is django-operator, as the policies expect.
    service_account: ServiceAccount,
    /// Settings of the operator.
    settings: Settings,
    /// What `helm test` runs.
    tests: Tests,
    /// Tolerations of the operator's pod.
    tolerations: Vec<Object>,
    /// Where the operator works.
    watch: Watch,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Alerts {
    /// Whether there are alerts; they need metrics.serviceMonitor.enabled, and the Prometheus Operator's CRDs.
    enabled: bool,
    /// Labels that your Prometheus selects PrometheusRules by.
    #[schemars(extend("patternProperties" = own_labels()))]
    labels: Strings,
    /// Address at which your people read docs/alerts.md, for the alerts' annotation runbook_url.
    #[schemars(length(min = 1))]
    runbook_url: &'static str,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Dashboard {
    /// Annotations of the ConfigMap, such as one for the sidecar's folder.
    annotations: Strings,
    /// Whether there is a dashboard. One release in a cluster is enough: it shows all operators.
    enabled: bool,
    /// Labels that your Grafana's sidecar selects ConfigMaps by.
    #[schemars(extend("patternProperties" = own_labels()))]
    labels: Strings,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Image {
    /// Digest, such as sha256:0123...; if set, the tag is not used.
    #[schemars(regex(pattern = r"^(sha256:[0-9a-f]{64})?$"))]
    digest: String,
    /// When a node pulls the image: Always, IfNotPresent or Never.
    #[schemars(extend("enum" = ["Always", "IfNotPresent", "Never"]))]
    pull_policy: &'static str,
    /// Registry and repository. Write where you pushed the image.
    #[schemars(length(min = 1))]
    repository: String,
    /// Tag; empty: the chart's appVersion.
    tag: String,
}

#[derive(JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct SecretName {
    /// Name of the Secret.
    name: String,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metrics {
    /// A Service for the metrics' port.
    service: Service,
    /// A ServiceMonitor of the Prometheus Operator, and the Service that it reads.
    service_monitor: ServiceMonitor,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Service {
    /// Annotations of the Service.
    annotations: Strings,
    /// Whether there is a Service for the metrics' port.
    enabled: bool,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceMonitor {
    /// Whether there is a ServiceMonitor. The cluster needs the Prometheus Operator's CRDs for it.
    enabled: bool,
    /// How often the metrics are read; empty: as Prometheus is set.
    #[schemars(regex(pattern = r"^([0-9]+(ms|s|m|h))*$"))]
    interval: String,
    /// Labels that your Prometheus selects ServiceMonitors by.
    #[schemars(extend("patternProperties" = own_labels()))]
    labels: Strings,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NetworkPolicy {
    /// Ports of the API server, which a NetworkPolicy cannot name: to any host on these, and to DNS.
    #[schemars(length(min = 1), inner(range(min = 1)))]
    api_server_ports: Vec<u16>,
    /// Whether there is a NetworkPolicy. From anywhere only the port of probes and metrics is reached.
    enabled: bool,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceAccount {
    /// Annotations of the service account.
    annotations: Strings,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tests {
    /// Whether there are tests, and an account that may create tasks, which it does as a dry run alone.
    enabled: bool,
}

/// Read from the command line's declarations.
#[derive(Serialize)]
struct Settings(Object);

impl JsonSchema for Settings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let properties: Object =
            own_settings().iter().map(|setting| (value_name(setting), setting_schema(setting))).collect();
        let required: Vec<&String> = properties.keys().collect();
        schemars::json_schema!({
            "type": "object", "additionalProperties": false, "properties": properties, "required": required,
        })
    }
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Watch {
    /// Whether the operator works in all namespaces, by a ClusterRole.
    all_namespaces: bool,
    /// Namespaces to work in, each of which has to be there; empty: the release's own. Not with allNamespaces.
    #[schemars(inner(regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
    namespaces: Vec<String>,
}

impl Default for Values {
    fn default() -> Self {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        Self {
            affinity: Map::new(),
            alerts: Alerts { enabled: false, labels: BTreeMap::new(), runbook_url: alerts::RUNBOOKS },
            dashboard: Dashboard {
                annotations: BTreeMap::new(),
                enabled: false,
                labels: [("grafana_dashboard".into(), "1".into())].into(),
            },
            image: Image {
                digest: String::new(),
                pull_policy: "IfNotPresent",
                repository: "localhost/django-operator".into(),
                tag: String::new(),
            },
            image_pull_secrets: Vec::new(),
            metrics: Metrics {
                service: Service { annotations: BTreeMap::new(), enabled: false },
                service_monitor: ServiceMonitor { enabled: false, interval: String::new(), labels: BTreeMap::new() },
            },
            network_policy: NetworkPolicy { api_server_ports: vec![443, 6443], enabled: false },
            node_selector: BTreeMap::new(),
            pod_annotations: BTreeMap::new(),
            pod_labels: BTreeMap::new(),
            pod_security_context: object(manager::pod_security()),
            priority_class_name: String::new(),
            replicas: 1,
            resources: object(manager::resources()),
            service_account: ServiceAccount { annotations: BTreeMap::new() },
            settings: Settings(own_settings().iter().map(|setting| (value_name(setting), default(setting))).collect()),
            tests: Tests { enabled: true },
            tolerations: Vec::new(),
            watch: Watch { all_namespaces: false, namespaces: Vec::new() },
        }
    }
}

/// Labels that are the chart's own, and nobody else's.
fn own_labels() -> Value {
    json!({ r"^(app\.kubernetes\.io|helm\.sh)/": { "not": {} } })
}

fn own_settings() -> Vec<Setting> {
    manager::settings().into_iter().filter(|setting| derived(setting).is_none()).collect()
}

/// `NUM_OLD_CRS` as `numOldCrs`.
fn value_name(setting: &Setting) -> String {
    let mut words = setting.variable.split('_').map(str::to_lowercase);
    let first = words.next().unwrap_or_default();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(1);
        name + &initial.to_uppercase() + rest
    })
}

fn default(setting: &Setting) -> Value {
    setting.default.parse::<u64>().map_or_else(|_| json!(setting.default), |number| json!(number))
}

fn setting_schema(setting: &Setting) -> Value {
    let mut schema = json!({ "description": setting.meaning });
    if default(setting).is_u64() {
        schema["type"] = json!("integer");
        let (least, most) = match setting.variable.as_str() {
            "WATCH_SECONDS" => (*WATCH_SECONDS.start(), *WATCH_SECONDS.end()),
            _ => (0, i32::MAX.unsigned_abs()),
        };
        schema["minimum"] = json!(least);
        schema["maximum"] = json!(most);
    } else if setting.words.is_empty() {
        schema["type"] = json!("string");
        schema["minLength"] = json!(1);
        if setting.is_target_label() {
            schema["pattern"] = json!(format!("^{POD_LABEL}(,{POD_LABEL})*$"));
        }
    } else {
        schema["enum"] = json!(setting.words);
    }
    schema
}

/// The chart, given the plurals of the task kinds.
pub fn chart(plurals: &[String]) -> Result<Chart, String> {
    let (values, schema) = chart::schema::<Values>()?;
    Ok(Chart {
        name: "django-operator",
        description: "An operator that runs Django's and Celery's administration commands as Jobs, for one namespace or more",
        introduction: "It needs the chart `django-operator-cluster`, once in each cluster. Releases in different namespaces \
                       do not disturb each other; there is one in a namespace, as its objects have fixed names.\n\n\
                       ```sh\nhelm install django-operator config/helm/django-operator -n shop --create-namespace \\\n  \
                       --set image.repository=registry.example.com/django-operator\nhelm test django-operator -n shop\n```\n",
        annotations: json!({
            "artifacthub.io/category": "integration-delivery",
            "artifacthub.io/license": "Apache-2.0",
            "artifacthub.io/operator": "true",
            "artifacthub.io/operatorCapabilities": "Seamless Upgrades",
        }),
        values,
        schema,
        templates: vec![
            ("templates/deployment.yaml".into(), deployment()),
            ("templates/_rules.tpl".into(), rules(plurals)?),
            ("templates/_alerts.tpl".into(), alert_groups()?),
            ("dashboard.json".into(), monitoring::dashboard()?),
        ],
    })
}

fn deployment() -> String {
    let text = manager::manifest(&Parts {
        metadata: "  namespace: {{ .Release.Namespace | quote }}\n  labels:\n    {{- include \"django-operator.labels\" . | nindent 4 }}\n    \
                   {{- include \"django-operator.selector\" . | nindent 4 }}\n",
        stand_by: "a second replica",
        replicas: "{{ .Values.replicas }}",
        selector: "{{- include \"django-operator.selector\" . | nindent 6 }}",
        pod_metadata: "      labels:\n        {{- include \"django-operator.selector\" . | nindent 8 }}\n        \
                       {{- with .Values.podLabels }}\n        {{- toYaml . | nindent 8 }}\n        {{- end }}\n      \
                       {{- with .Values.podAnnotations }}\n      annotations:\n        {{- toYaml . | nindent 8 }}\n      {{- end }}\n",
        pod_spec: &["imagePullSecrets", "nodeSelector", "affinity", "tolerations", "priorityClassName"]
            .map(pod_field)
            .concat(),
        pod_security: " {{- toYaml .Values.podSecurityContext | nindent 8 }}",
        image: "{{ include \"django-operator.image\" . | quote }}",
        pull_policy: "{{ .Values.image.pullPolicy }}",
        resources: " {{- toYaml .Values.resources | nindent 12 }}",
        value: &value,
    });
    format!("{GENERATED_HEADER}{text}")
}

/// A field of the pod's spec, where the value of its name is not empty.
fn pod_field(name: &str) -> String {
    format!("      {{{{- with .Values.{name} }}}}\n      {name}: {{{{ toJson . }}}}\n      {{{{- end }}}}\n")
}

/// A setting's value as the Deployment has it.
fn value(setting: &Setting) -> String {
    derived(setting).unwrap_or_else(|| {
        let name = value_name(setting);
        match default(setting).is_u64() {
            // Numbers of values are floating: a million would be written 1e+06.
            true => quoted(&format!("int64 .Values.settings.{name}")),
            false => quoted(&format!(".Values.settings.{name}")),
        }
    })
}

/// The same of a setting that is no value of the chart, but follows from others or stays as it is.
fn derived(setting: &Setting) -> Option<String> {
    match setting.variable.as_str() {
        "WATCH_NAMESPACE" => Some(quoted("include \"django-operator.watchNamespace\" .")),
        "LEADER_ELECTION" => Some(quoted("gt (int .Values.replicas) 1")),
        "METRICS_ADDRESS" | "POD_NAMESPACE" | "POD_NAME" => Some(manager::plain_value(setting)),
        _ => None,
    }
}

fn quoted(expression: &str) -> String {
    format!("              value: {{{{ {expression} | quote }}}}\n")
}

/// The rules of the roles, as templates for all of these.
fn rules(plurals: &[String]) -> Result<String, String> {
    let mut text = TEMPLATE_HEADER.to_owned();
    for (name, rules) in [
        ("rules", rbac::role(plurals)["rules"].clone()),
        ("leaseRules", rbac::lease_role()["rules"].clone()),
        ("testRules", rbac::test_rules(plurals)),
    ] {
        let rules = yaml(&json!({ "rules": rules }))?;
        text.push_str(&defined(name, &rules));
    }
    Ok(text)
}

/// A text as a template that others include.
fn defined(name: &str, text: &str) -> String {
    format!("{{{{- define \"django-operator.{name}\" -}}}}\n{text}{{{{- end }}}}\n")
}

/// The alerts' rules about the metrics of the release's own operator.
fn alert_groups() -> Result<String, String> {
    let (matcher, value, runbooks) = ("OPERATOR_MATCHER", "OPERATOR_NAMESPACE", "RUNBOOKS");
    let own = alerts::Own { matcher, label: "operator_namespace", value };
    let groups = verbatim(yaml(&alerts::groups(Some(own), runbooks))?)
        .replace(matcher, "operator_namespace='{{ .Release.Namespace }}'")
        .replace(value, "{{ .Release.Namespace | quote }}")
        .lines()
        .map(|line| match line.split_once(runbooks) {
            Some((before, anchor)) => {
                format!("{before}{{{{ printf \"%s%s\" .Values.alerts.runbookUrl \"{anchor}\" | quote }}}}\n")
            }
            None => format!("{line}\n"),
        })
        .collect::<String>();
    Ok(format!("{TEMPLATE_HEADER}{}", defined("alerts", &groups)))
}
