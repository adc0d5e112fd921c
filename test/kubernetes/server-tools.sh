#!/bin/sh
# Builds what `npm run kubernetes-check` needs into the folder that is named: etcd and kube-apiserver, from Go's
# module proxy (Go 1.26, ten minutes of one core), and the definitions of KEDA's and Prometheus' kinds. kubectl
# comes from elsewhere.
set -eu
[ $# -eq 1 ] || { echo "usage: sh test/kubernetes/server-tools.sh FOLDER" >&2; exit 2; }
KUBERNETES=1.36.3
ETCD=3.6.16
KEDA=2.20.2
OPERATOR=0.85.0

mkdir -p "$1/crds" "$1/build/apiserver" "$1/build/etcd"
folder=$(cd "$1" && pwd)
export GOTOOLCHAIN=local
modules=$(go env GOMODCACHE)

# Its module refers to parts of itself that are modules of their own: the same of the same release.
cd "$folder/build/apiserver"
go mod download "k8s.io/kubernetes@v$KUBERNETES"
sed -e 's#^module .*#module local/apiserver#' \
  -e "s#=> \./staging/src/k8s.io/\([a-z-]*\)#=> k8s.io/\1 v0.${KUBERNETES#1.}#" \
  -e "s#^\(\tk8s.io/[a-z-]*\) v0.0.0\$#\1 v0.${KUBERNETES#1.}#" \
  -e "0,/^require (/s##require (\n\tk8s.io/kubernetes v$KUBERNETES#" \
  "$modules/k8s.io/kubernetes@v$KUBERNETES/go.mod" > go.mod
cat > main.go <<'END'
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
END
# Kinds are served by the release's number.
version="-X k8s.io/component-base/version.gitVersion=v$KUBERNETES"
version="$version -X k8s.io/component-base/version.gitMajor=1"
minor=${KUBERNETES#1.}
version="$version -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
GOFLAGS=-mod=mod go build -p 1 -ldflags "-s -w $version" -o "$folder/kube-apiserver" .

cd "$folder/build/etcd"
printf 'module local/etcd\n\ngo 1.26\n' > go.mod
cat > main.go <<'END'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
END
go get "go.etcd.io/etcd/server/v3@v$ETCD"
go build -p 1 -ldflags '-s -w' -o "$folder/etcd" .

go mod download "github.com/kedacore/keda/v2@v$KEDA" \
  "github.com/prometheus-operator/prometheus-operator@v$OPERATOR"
cp "$modules/github.com/kedacore/keda/v2@v$KEDA/config/crd/bases/keda.sh_scaledobjects.yaml" "$folder/crds/"
operator="$modules/github.com/prometheus-operator/prometheus-operator@v$OPERATOR"
cp "$operator/example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml" \
  "$operator/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml" "$folder/crds/"
chmod -R u+w "$folder/crds"
echo "set KUBEBUILDER_ASSETS=$folder"
