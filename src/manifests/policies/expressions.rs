//! Texts in CEL that several policies use. Objects of several kinds are `dyn`, so that their fields can be gone through by
//! name.

use crate::api::{GROUP, TaskPolicy, VERSION};
use crate::names;

/// The most of a list that a message shows, in characters: an API server drops messages of more than five kilobytes.
const SHOWN: usize = 500;

/// A message, in which expressions stand in braces, as an expression.
pub fn message(template: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "\\'"));
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, (expression, after))) =
        rest.split_once('{').and_then(|(text, tail)| Some((text, tail.split_once('}')?)))
    {
        if !text.is_empty() {
            parts.push(quoted(text));
        }
        parts.push(expression.to_owned());
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(quoted(rest));
    }
    parts.join(" + ")
}

/// For a message: the words of a list.
pub fn shown(list: &str) -> String {
    let joined = format!("{list}.join(', ')");
    format!("{{({joined}.size() > {SHOWN} ? {joined}.substring(0, {SHOWN}) + ' ...' : {joined})}}")
}

/// The words of a text, between commas and blanks.
pub fn words(text: &str) -> String {
    format!("{text}.findAll(r'[^,\\s]+')")
}

/// Whether two versions of a map differ in an entry whose `key` is not excepted.
pub fn differ(new: &str, old: &str, excepted: &str) -> String {
    let one_way = |a: &str, b: &str| format!("{a}.exists(key, !({excepted}) && !(key in {b} && {a}[key] == {b}[key]))");
    format!("({} || {})", one_way(new, old), one_way(old, new))
}

/// Whether a request changes what a task runs. A field that is not known to say only when and within which limits it runs
/// counts as one that does.
pub fn changes_what_runs() -> (&'static str, String) {
    let excepted = format!("key in {}", list(&[TaskPolicy::NON_TRIGGERING_FIELDS, &["trigger"]].concat()));
    let differ = differ("dyn(object.spec)", "dyn(oldObject.spec)", &excepted);
    ("changes-what-runs", format!("request.operation == 'CREATE' || {differ}"))
}

/// Whether the annotations differ in one of the operator's that is not excepted.
pub fn own_annotations_differ(excepted: &[&str]) -> String {
    let annotations = |object: &str| format!("dyn({object}).metadata.?annotations.orValue({{}})");
    let excepted = format!("!key.startsWith('{}') || key in {}", names::PREFIX, list(excepted));
    differ(&annotations("object"), &annotations("oldObject"), &excepted)
}

/// Whether the requester may do something, by the API server's own authorizer.
pub fn may(group: &str, resource: &str, name: Option<&str>, verb: &str) -> String {
    let name = name.map(|name| format!(".name({name})")).unwrap_or_default();
    format!(
        "authorizer.group('{group}').resource('{resource}').namespace(request.namespace){name}.check('{verb}').allowed()"
    )
}

/// Whether a user is an operator. `make policies` replaces the list.
pub fn is_operator(user: &str) -> String {
    format!("{}.exists(account, account == {user})", words(&format!("'{}'", operators())))
}

/// The operator's account, where it is installed as shipped.
pub fn operators() -> String {
    format!("system:serviceaccount:{0}:{0}", names::OPERATOR)
}

/// A list of texts.
pub fn list(texts: &[&str]) -> String {
    format!("['{}']", texts.join("', '"))
}

/// The API version of the tasks.
pub fn task_api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_text_and_expressions_by_turns() {
        for (template, expression) in
            [("no", "'no'"), ("{a}", "a"), ("{a} isn't {b.c}", "a + ' isn\\'t ' + b.c"), ("{a}{b} {", "a + b + ' {'")]
        {
            assert_eq!(message(template), expression);
        }
    }
}
