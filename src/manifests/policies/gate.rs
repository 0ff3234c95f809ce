//! The gate as an admission policy: what `task/gate` does to a pod template, in CEL, to each pod that is created.

use serde_json::{Value, json};

use super::expressions::list;
use super::full_name;
use crate::helper;
use crate::manifests::directory;
use crate::names;
use crate::task::gate::{
    COPIED_FIELDS, DEFAULT_TIMEOUT_SECONDS, MOST_WORDS, STABLE_SECONDS, TIMEOUT_PATTERN, UNCOMMON_BLANKS, WAIT_COMMAND,
};
use crate::task::job::launcher::{
    MAX_WORDS_SEARCHED, OWN_COMMANDS, PYTHON_PROGRAMS, SETTINGS_PREFIX, SHELLS, USUAL_INTERPRETERS,
};
use crate::task::job::{HELPER_DIR, TERMINATION_LOG};
use crate::task::own_migration::{CHECK_ONLY, MAX_COMMAND_CHARS, MAX_MATCHES, MIGRATES};

const NAME: &str = "gate";
/// Directory of its files.
pub const GATE: &str = "policies/gate/";
/// The same for Kubernetes before 1.36.
pub const GATE_OF_OLDER_CLUSTERS: &str = "policies/gate/v1beta1/";
/// API versions, each with the directory of its files.
const VERSIONS: &[(&str, &str)] = &[("v1", GATE), ("v1beta1", GATE_OF_OLDER_CLUSTERS)];

/// Path and documents of each generated file.
pub fn files() -> Vec<(String, Vec<Value>)> {
    let of_version = |(version, path): &(&str, &str)| {
        directory(path, vec![(format!("{NAME}.yaml"), vec![policy(version), binding(version)])])
    };
    VERSIONS.iter().flat_map(of_version).collect()
}

fn api_version(version: &str) -> String {
    format!("admissionregistration.k8s.io/{version}")
}

fn policy(version: &str) -> Value {
    let named = |(name, expression): &(&str, String)| json!({ "name": name, "expression": expression });
    json!({
        "apiVersion": api_version(version),
        "kind": "MutatingAdmissionPolicy",
        "metadata": {
            "name": full_name(NAME),
            "annotations": {
                "kubernetes.io/description": "Pods whose template asks for it start when their database has the migrations that their image knows.",
            },
        },
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": { "resourceRules": [
                { "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] },
            ] },
            "matchConditions": conditions().iter().map(named).collect::<Vec<_>>(),
            "variables": variables().iter().map(named).collect::<Vec<_>>(),
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": patch() } }],
        },
    })
}

fn binding(version: &str) -> Value {
    json!({
        "apiVersion": api_version(version),
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": full_name(NAME) },
        "spec": { "policyName": full_name(NAME) },
    })
}

/// The pods that it is about.
fn conditions() -> Vec<(&'static str, String)> {
    let annotations = "object.metadata.?annotations.orValue({})";
    let labels = "object.metadata.?labels.orValue({})";
    vec![
        ("asks-for-it", format!("{annotations}[?'{}'].orValue('') == 'true'", names::WAIT_ANNOTATION)),
        ("is-not-of-windows", "object.spec.?os.?name.orValue('') != 'windows'".into()),
        ("is-no-task", format!("!('{}' in {labels})", names::KIND_LABEL)),
        (
            "has-none-yet",
            format!("!object.spec.?initContainers.orValue([]).exists(c, c.name == '{}')", names::WAIT_CONTAINER),
        ),
    ]
}

fn variables() -> Vec<(&'static str, String)> {
    [of_the_pod(), of_the_start(), of_the_command(), vec![("container", container()), ("gated", gated())]].concat()
}

/// Which container is Django's, and what is around it.
fn of_the_pod() -> Vec<(&'static str, String)> {
    let text = "(c.?command.orValue([]) + c.?args.orValue([])).join(' ')";
    vec![
        ("annotations", "object.metadata.?annotations.orValue({})".into()),
        ("pod", "dyn(object.spec)".into()),
        ("containers", "variables.pod.?containers.orValue([])".into()),
        ("initContainers", "variables.pod.?initContainers.orValue([])".into()),
        (
            "named",
            format!("variables.containers.filter(c, c.name == {})", annotation(names::DEFAULT_CONTAINER_ANNOTATION)),
        ),
        (
            "candidates",
            "variables.named.size() > 0 ? variables.named : variables.containers.size() == 1 ? variables.containers : []".into(),
        ),
        ("django", "variables.candidates[0]".into()),
        ("image", "variables.django.?image.orValue('')".into()),
        (
            "migratesItself",
            format!(
                "(variables.initContainers + variables.containers).filter(c, c.?image.orValue('') == variables.image).map(c, {text}).map(text, text.size() > {MAX_COMMAND_CHARS} ? text.substring(0, {MAX_COMMAND_CHARS}) : text).exists(text, text.contains('migrate') && text.findAll(r'''{MIGRATES}''', {MAX_MATCHES}).exists(command, !command.matches(r'{CHECK_ONLY}')))"
            ),
        ),
        (
            "classicSidecars",
            "variables.containers.filter(c, c.name != variables.django.name).map(c, c.name)".into(),
        ),
        (
            "nativeSidecars",
            "variables.initContainers.exists(c, c.?restartPolicy.orValue('') == 'Always')".into(),
        ),
    ]
}

/// How management commands start there.
fn of_the_start() -> Vec<(&'static str, String)> {
    let is_python = |word: &str| format!("{word}.matches(r'^(.*/)?(python|pypy)[0-9.]*$')");
    let base = |word: &str| format!("{word}.substring({word}.lastIndexOf('/') + 1)");
    let python_beside = |word: &str| format!("{word}.substring(0, {word}.lastIndexOf('/')) + '/python'");
    let positions = (0..MOST_WORDS).map(|position| position.to_string()).collect::<Vec<_>>().join(", ");
    let part = |words: &str, condition: &str| {
        format!("variables.positions.filter(i, i < {words}.size() && {condition}).map(i, {words}[i])")
    };
    let own_words = "variables.containerCommand";
    vec![
        ("positions", format!("[{positions}]")),
        (
            "containerCommand",
            "variables.django.?command.orValue([]) + variables.django.?args.orValue([])".into(),
        ),
        (
            "containerInterpreter",
            format!(
                "({}.filter(w, !w.matches(r'\\s') && !w.contains('$(') && ({} || w.contains('/') && {} in {})).map(w, {} ? w : {}) + ['{}'])[0]",
                part(own_words, &format!("i < {MAX_WORDS_SEARCHED}")),
                is_python("w"),
                base("w"),
                list(PYTHON_PROGRAMS),
                is_python("w"),
                python_beside("w"),
                USUAL_INTERPRETERS.first().copied().unwrap_or_default(),
            ),
        ),
        ("manage", format!("{}.trim()", annotation(names::MANAGE_ANNOTATION))),
        (
            "manageWords",
            "variables.manage.startsWith('[') ? variables.manage.findAll('\"[^\"]*\"').map(w, w.substring(1, w.size() - 1)) : variables.manage.findAll(r'\\S+')".into(),
        ),
        (
            "settings",
            format!(
                "variables.manageWords.size() > 0 && variables.manageWords[0].startsWith('{SETTINGS_PREFIX}') ? [variables.manageWords[0].substring({})] : []",
                SETTINGS_PREFIX.len()
            ),
        ),
        ("start", part("variables.manageWords", "i >= variables.settings.size()")),
        ("startsPython", format!("variables.start.size() > 0 && {}", is_python("variables.start[0]"))),
        // Where the interpreter's own words end.
        (
            "ends",
            "variables.positions.filter(i, i > 0 && i < variables.start.size() && (!variables.start[i].startsWith('-') || variables.start[i] == '-m') && !(variables.start[i - 1] in ['-X', '-W']))".into(),
        ),
        ("isModule", "variables.startsPython && variables.ends.size() > 0 && variables.start[variables.ends[0]] == '-m'".into()),
        (
            "entry",
            "!variables.startsPython ? 0 : variables.ends.size() == 0 ? variables.start.size() : variables.isModule ? variables.ends[0] + 1 : variables.ends[0]".into(),
        ),
        ("arguments", part("variables.start", "i > variables.entry")),
        (
            "readable",
            format!(
                "variables.manage == '' || !variables.manage.matches(r'{UNCOMMON_BLANKS}') && !variables.positions.exists(i, i > 0 && i < variables.manageWords.size() && variables.manageWords[i] in ['-X', '-W'] && variables.manageWords[i - 1] in ['-X', '-W']) && (!variables.manage.startsWith('[') || variables.manage.matches(r'^\\[\\s*(\"[^\"\\\\]*\"\\s*(,\\s*\"[^\"\\\\]*\"\\s*)*)?\\]$')) && variables.manageWords.size() <= {MOST_WORDS} && variables.start.size() > variables.entry && !({} in {}) && !variables.arguments.exists(w, w in {})",
                base("variables.start[0]"),
                list(SHELLS),
                list(OWN_COMMANDS)
            ),
        ),
        (
            "interpreter",
            format!(
                "variables.startsPython ? {} : variables.start.size() > 0 && variables.start[0].contains('/') ? [{}] : [variables.containerInterpreter]",
                part("variables.start", "i < variables.ends[0]"),
                python_beside("variables.start[0]")
            ),
        ),
        (
            "entryOptions",
            "variables.manage == '' ? ['--discover'] : variables.startsPython ? [variables.isModule ? '--module' : '--script'] + [variables.start[variables.entry]] : ['--console'] + [variables.start[0]]".into(),
        ),
        ("entrypoint", annotation(names::ENTRYPOINT_ANNOTATION)),
        ("keepsEntrypoint", "variables.entrypoint == 'Keep'".into()),
    ]
}

/// What the init container runs.
fn of_the_command() -> Vec<(&'static str, String)> {
    // Texts of JSON are texts of CEL as well.
    let start = json!(helper::source().start(&[]));
    let escaped = ".map(word, word.replace('$', '$$'))";
    let names_of = |test: &str| format!("variables.django.?env.orValue([]).filter(e, {test}).map(e, e.name)");
    let texts = |names: &str| {
        format!(
            "'[' + {names}.map(name, '\"' + name.replace('\\\\', '\\\\\\\\').replace('\"', '\\\\\"') + '\"').join(',') + ']'"
        )
    };
    let of_secret = "e.?valueFrom.?secretKeyRef.hasValue()";
    vec![
        ("call", format!("(variables.interpreter + {start}){escaped}")),
        (
            "options",
            format!(
                "(variables.entryOptions + variables.containerCommand.map(w, '--container-command=' + w) + variables.arguments.map(w, '--argument=' + w) + variables.settings.map(w, '--settings=' + w) + ['--', '{WAIT_COMMAND}', '--timeout=' + ({0}.matches(r'{TIMEOUT_PATTERN}') ? {0} : '{DEFAULT_TIMEOUT_SECONDS}'), '--stable={STABLE_SECONDS}'] + {1}.findAll(r'[^,\\s]+').map(w, '--database=' + w)){escaped}",
                annotation(names::WAIT_TIMEOUT_ANNOTATION),
                annotation(names::WAIT_DATABASES_ANNOTATION)
            ),
        ),
        ("secretEnv", names_of(of_secret)),
        ("plainEnv", names_of(&format!("!{of_secret}"))),
        ("wholeSecrets", "variables.django.?envFrom.orValue([]).exists(from, from.?secretRef.hasValue())".into()),
        (
            "facts",
            format!(
                "'{{\"bypassesEntrypoint\":' + string(!variables.keepsEntrypoint && variables.django.?command.orValue([]).size() == 0) + ',\"classicSidecars\":' + {} + ',\"nativeSidecars\":' + string(variables.nativeSidecars) + ',\"plainEnv\":' + {} + ',\"secretEnv\":' + {} + ',\"wholeSecrets\":' + string(variables.wholeSecrets) + '}}'",
                texts("variables.classicSidecars"),
                texts("variables.plainEnv"),
                texts("variables.secretEnv")
            ),
        ),
    ]
}

fn container() -> String {
    let copied = |field: &str| format!("?'{field}': variables.django.?{field}");
    let name = format!("'name': dyn('{}')", names::WAIT_CONTAINER);
    let made = [
        "?'command': variables.keepsEntrypoint ? variables.django.?command : optional.of(dyn(variables.call))".into(),
        "'args': dyn(variables.keepsEntrypoint ? variables.call + variables.options : variables.options)".into(),
        format!(
            "'env': dyn(variables.django.?env.orValue([]).filter(e, e.name != '{0}') + [dyn({{'name': '{0}', 'value': variables.facts.replace('$', '$$')}})])",
            names::HELPER_ENV
        ),
        format!(
            "'volumeMounts': dyn(variables.django.?volumeMounts.orValue([]) + [dyn({{'name': dyn('{}'), 'mountPath': dyn('{HELPER_DIR}'), 'readOnly': dyn(true)}})])",
            names::WAIT_VOLUME
        ),
        format!("'terminationMessagePath': dyn('{TERMINATION_LOG}')"),
        "'terminationMessagePolicy': dyn('FallbackToLogsOnError')".into(),
    ];
    let fields = [name].into_iter().chain(COPIED_FIELDS.iter().map(|field| copied(field))).chain(made);
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

/// Whether the pod can wait, which the operator tells its owner otherwise.
fn gated() -> String {
    "variables.candidates.size() > 0 && !variables.migratesItself && variables.readable && variables.entrypoint in ['', 'Bypass', 'Keep']".into()
}

fn patch() -> String {
    let append = |field: &str, value: &str| {
        format!(
            "(has(object.spec.{field}) ? JSONPatch{{op: 'add', path: '/spec/{field}/-', value: {value}}} : JSONPatch{{op: 'add', path: '/spec/{field}', value: [{value}]}})"
        )
    };
    let volume = format!(
        "{{'name': dyn('{}'), 'configMap': dyn({{'name': dyn('{}'), 'defaultMode': dyn({})}})}}",
        names::WAIT_VOLUME,
        helper::config_map_name(),
        0o444
    );
    format!(
        "variables.gated ? [{}, {}] : []",
        append("volumes", &volume),
        append("initContainers", "variables.container")
    )
}

/// The value of an annotation of the pod; empty where it has none.
fn annotation(name: &str) -> String {
    format!("variables.annotations[?'{name}'].orValue('')")
}
