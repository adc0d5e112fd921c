#!/bin/sh
# Prints the rules of deploy/prometheus as PrometheusRule objects, for the Prometheus operator:
# sh deploy/kubernetes/prometheus-rules.sh | kubectl apply -n qarr -f -
set -eu
for file in "$(dirname "$0")"/../prometheus/rules/*.yml; do
  printf -- '---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n'
  printf '  name: qarr-%s\nspec:\n' "$(basename "$file" .yml)"
  sed 's/^/  /' "$file"
done
