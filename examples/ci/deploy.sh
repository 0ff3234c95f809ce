#!/bin/sh
# deploy.sh NAMESPACE: migrations first, then everything else; ends with an error, and leaves the rest as it is, when they fail.
# Needs kubectl and django-operator, and a kubeconfig.
set -eu
namespace=$1
release=$(dirname "$0")/../flux # one directory for the migrations, one for what comes after them
kubectl apply -n "$namespace" -k "$release/migrations"
django-operator wait djm/shop -n "$namespace" --timeout 30m
kubectl apply -n "$namespace" -k "$release/web"
kubectl rollout status -n "$namespace" deployment/shop --timeout 10m
