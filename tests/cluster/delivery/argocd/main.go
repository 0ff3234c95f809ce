// sync applies manifests as Argo CD does, by its own engine: in waves, each when the one before is healthy.
//
//	sync NAMESPACE JUDGE HEALTH_LUA < manifests.yaml    exit code 1 where the operation fails
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/cache"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// What Argo CD tracks the objects of an application by.
const tracking = "argocd.argoproj.io/tracking-id"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: sync NAMESPACE JUDGE HEALTH_LUA < manifests.yaml")
		os.Exit(2)
	}
	if err := run(os.Args[1], script{os.Args[2], os.Args[3]}); err != nil {
		fmt.Fprintln(os.Stderr, "sync:", err)
		os.Exit(1)
	}
}

func run(namespace string, healthScript script) error {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{},
	).ClientConfig()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	objects, err := kube.SplitYAML(text)
	if err != nil {
		return err
	}
	for _, object := range objects {
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[tracking] = fmt.Sprintf("shop:%s:%s/%s", object.GroupVersionKind(), namespace, object.GetName())
		object.SetAnnotations(annotations)
		object.SetNamespace(namespace)
	}
	clusterCache := cache.NewClusterCache(config,
		cache.SetNamespaces([]string{namespace}),
		cache.SetLogr(logr.Discard()),
		cache.SetPopulateResourceInfoHandler(func(object *unstructured.Unstructured, _ bool) (any, bool) {
			_, tracked := object.GetAnnotations()[tracking]
			return tracked, tracked
		}),
	)
	if err := clusterCache.EnsureSynced(); err != nil {
		return err
	}
	defer clusterCache.Invalidate()
	results, err := operation(clusterCache, config, objects, namespace, healthScript)
	for _, result := range results {
		fmt.Printf("%s %s %s: %s\n", result.ResourceKey.String(), result.Status, result.HookPhase, result.Message)
	}
	return err
}

// operation syncs as Argo CD's application controller does: a look at what is there, a step, and again.
func operation(
	clusterCache cache.ClusterCache, config *rest.Config, objects []*unstructured.Unstructured, namespace string, healthScript script,
) ([]common.ResourceSyncResult, error) {
	isManaged := func(resource *cache.Resource) bool { tracked, _ := resource.Info.(bool); return tracked }
	kubectl := &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}
	var results []common.ResourceSyncResult
	phase, message, started := common.OperationRunning, "", metav1.Now()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		live, err := clusterCache.GetManagedLiveObjs(objects, isManaged)
		if err != nil {
			return nil, err
		}
		step, cleanup, err := sync.NewSyncContext(
			"", sync.Reconcile(objects, live, namespace, clusterCache), config, config, kubectl, namespace,
			sync.WithHealthOverride(healthScript), sync.WithInitialState(phase, message, results, started), sync.WithLogr(logr.Discard()),
		)
		if err != nil {
			return nil, err
		}
		step.Sync()
		phase, message, results = step.GetState()
		cleanup()
		if phase == common.OperationSucceeded {
			return results, nil
		}
		if phase.Completed() {
			return results, fmt.Errorf("%s: %s", phase, message)
		}
	}
	return results, fmt.Errorf("%s: the time is up", phase)
}

// script says how healthy objects of our kinds are, as Argo CD has it by resource.customizations.health.
type script struct{ judge, lua string }

func (s script) GetResourceHealth(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	if object.GroupVersionKind().Group != "django.my.domain" {
		return nil, nil
	}
	text, err := json.Marshal([]any{object})
	if err != nil {
		return nil, err
	}
	command := exec.Command(s.judge, s.lua)
	command.Stdin, command.Stderr = bytes.NewReader(text), os.Stderr
	said, err := command.Output()
	if err != nil {
		return nil, err
	}
	var verdicts []struct{ Health, HealthMessage string }
	if err := json.Unmarshal(said, &verdicts); err != nil || len(verdicts) != 1 {
		return nil, fmt.Errorf("%s: %w", said, err)
	}
	return &health.HealthStatus{Status: health.HealthStatusCode(verdicts[0].Health), Message: verdicts[0].HealthMessage}, nil
}
