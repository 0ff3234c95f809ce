# Everything that is done with this project. `make demo` and `make test` are the two that matter.

IMG ?= localhost/django-operator:latest
NAMESPACE ?= django-operator
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
BINARY := target/$(HOST)/release/django-operator
# The engine that builds images: whichever is there and works.
ENGINE ?= $(shell for e in docker podman buildah; do if $$e info >/dev/null 2>&1; then echo $$e; break; fi; done)
BUILD = $(if $(filter buildah,$(notdir $(ENGINE))),$(ENGINE) bud --isolation chroot,$(ENGINE) build)
OVERLAY := target/deploy

PYTHON := .venv/bin
RUST_FILES = build.rs $(shell find src tests tools -name '*.rs')

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults test-projects test-delivery bench bench-scale build generate verify format check lint dependencies audit docker-build docker-push install uninstall deploy undeploy watch policies print-policies user-roles overlay

help: ## This list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

demo: build ## A local cluster with a real Django project and the operator; leaves it running
	tests/cluster/demo $(BINARY)

test: ## All tests
	tests/all

test-faults: ## All plans of faults, one by PLAN=NUMBER; takes two hours
	FAULTS=$(or $(PLAN),all) tests/all faults

test-projects: ## Published projects in unchanged images, with slow migrations; some by PROJECTS="ara nemo"; half an hour
	tests/all projects

test-delivery: ## The charts, by Helm 3 and 4 on a real node; builds both once
	tests/all delivery

bench: build ## The figures of docs/figures.md, measured on the real control plane
	tests/bench/run $(BINARY)

bench-scale: build ## Those of them at a scale alone; CASES="limit singles": some of these
	tests/bench/run $(BINARY) scale $(CASES)

build: ## The program, static, so that its image needs nothing else
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target $(HOST)

generate: ## The generated files: CRDs, roles, manager, charts, samples, reference
	cargo run --locked --quiet --example generate .

verify: ## Whether the generated files are up to date, in a copy of the tree
	tests/verify

format: ## Formats Rust and Python
	rustfmt --edition 2024 $(RUST_FILES)
	tests/venv
	cd python && ../$(PYTHON)/ruff format .

check: lint dependencies ## Formats, lints and types of Rust and Python, spelling, dependencies

# By file, as kinds are declared by a macro, through which cargo fmt does not look.
lint: ## The same without the dependencies, whose programs take minutes to build
	rustfmt --edition 2024 --check $(RUST_FILES)
	cargo clippy --locked --all-targets -- -D warnings
	tests/venv
	cd python && ../$(PYTHON)/ruff format --check . && ../$(PYTHON)/ruff check . ../tests && ../$(PYTHON)/mypy
	$(PYTHON)/typos

dependencies: ## Licences and sources of the dependencies, and whether each is used
	tests/tools
	target/tools/bin/cargo-deny --all-features check bans licenses sources
	target/tools/bin/cargo-machete .

audit: ## Known vulnerabilities of the dependencies; asks the network for the list
	tests/tools
	target/tools/bin/cargo-deny --all-features check advisories

docker-build: build ## The image IMG
	@test -n "$(ENGINE)" || { echo "no docker, podman or buildah that works; on Debian: apt-get install buildah" >&2; exit 2; }
	rm -rf target/image && mkdir -p target/image && cp Dockerfile $(BINARY) target/image/
	$(BUILD) -t $(IMG) target/image

docker-push: ## Pushes IMG
	$(ENGINE) push $(IMG)

install: ## The CRDs into the cluster of your kubeconfig
	kubectl apply -k config/crd

uninstall: ## The CRDs, and with them every resource, out of it
	kubectl delete --ignore-not-found -k config/crd

deploy: overlay ## The operator, as IMG, into NAMESPACE
	kubectl apply -k $(OVERLAY)

undeploy: overlay ## The operator out of NAMESPACE
	kubectl delete --ignore-not-found -k $(OVERLAY)

watch: ## The operator of NAMESPACE may work in the namespace WATCHED as well
	kubectl kustomize config/watched-namespace | sed 's/^  namespace: .*/  namespace: $(NAMESPACE)/' | kubectl apply -n $(WATCHED) -f -

user-roles: ## ClusterRoles for the people who use the kinds: django-viewer, django-runner, django-admin
	kubectl apply -k config/user-roles

policies: ## Who may ask for what, and what the operators of the namespaces OPERATORS may do: docs/policies.md
	@$(MAKE) -s print-policies | kubectl apply --server-side -f -

# An empty list would guard against nobody.
print-policies:
	@printf '%s\n' "$(OPERATORS)" | grep -Eqx '[a-z0-9]([a-z0-9 ,-]*)' || { echo "OPERATORS: write namespaces, with blanks between them" >&2; exit 2; }
	@printf '%s\n' "$(POD_LABELS)" | grep -Eqx '[A-Za-z0-9./:=_, -]+[:=][A-Za-z0-9./:=_, -]*' || { echo "POD_LABELS: write key:value, with commas between them" >&2; exit 2; }
	@kubectl kustomize policies | sed "s|$(SHIPPED_ACCOUNT)|$(ACCOUNTS)|g; s|$(SHIPPED_LABELS)|$(subst =,:,$(POD_LABELS))|g"

OPERATORS ?= $(NAMESPACE)
SHIPPED_ACCOUNT := system:serviceaccount:django-operator:django-operator
ACCOUNTS = $(subst $(space),$(comma),$(patsubst %,system:serviceaccount:%:django-operator,$(subst $(comma),$(space),$(OPERATORS))))
SHIPPED_LABELS := app.kubernetes.io/component:django-server,app.kubernetes.io/component:django-celery-work-celery
POD_LABELS ?= $(SHIPPED_LABELS)
comma := ,
empty :=
space := $(empty) $(empty)

TAG = $(shell echo $(IMG) | sed -n 's/.*:\([^:/]*\)$$/\1/p')
define KUSTOMIZATION
namespace: $(NAMESPACE)
resources: [../../config/default]
images: [{name: localhost/django-operator, newName: "$(patsubst %:$(TAG),%,$(IMG))", newTag: "$(or $(TAG),latest)"}]
patches:
  - target: {kind: RoleBinding}
    patch: '[{"op": "replace", "path": "/subjects/0/namespace", "value": "$(NAMESPACE)"}]'
endef
export KUSTOMIZATION

overlay:
	@mkdir -p $(OVERLAY)
	@echo "$$KUSTOMIZATION" >$(OVERLAY)/kustomization.yaml
