package check_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"path/filepath"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kinds are the types of what we deploy, by API version and kind.
var kinds = map[string]func() any{
	"v1 Namespace":                           func() any { return new(corev1.Namespace) },
	"v1 ConfigMap":                           func() any { return new(corev1.ConfigMap) },
	"v1 Secret":                              func() any { return new(corev1.Secret) },
	"v1 Service":                             func() any { return new(corev1.Service) },
	"apps/v1 Deployment":                     func() any { return new(appsv1.Deployment) },
	"policy/v1 PodDisruptionBudget":          func() any { return new(policyv1.PodDisruptionBudget) },
	"autoscaling/v2 HorizontalPodAutoscaler": func() any { return new(autoscalingv2.HorizontalPodAutoscaler) },
	"networking.k8s.io/v1 NetworkPolicy":     func() any { return new(networkingv1.NetworkPolicy) },
	"keda.sh/v1alpha1 ScaledObject":          func() any { return new(scaledObject) },
}

// manifests are the objects of the kustomization and the secret's template, each
// decoded strictly: a field that its type does not have is an error.
func manifests(t *testing.T) map[string]any {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy/kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]any{}
	for _, document := range append(strings.Split(string(text), "\n---\n"), read(t, "deploy/kubernetes/secret.example.yaml")) {
		var head struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatal(err)
		}
		known := kinds[head.APIVersion+" "+head.Kind]
		if known == nil {
			t.Errorf("%s %s: no such kind is known here", head.APIVersion, head.Kind)
			continue
		}
		object := known()
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Errorf("%s %s: %v", head.Kind, head.Metadata.Name, err)
		}
		if head.Kind != "Namespace" && head.Metadata.Namespace != "waybill" {
			t.Errorf("%s %s is in namespace %q", head.Kind, head.Metadata.Name, head.Metadata.Namespace)
		}
		objects[head.Kind+" "+head.Metadata.Name] = object
	}
	return objects
}

func TestKubernetes_HasWhatItShould(t *testing.T) {
	t.Parallel()
	have := slices.Sorted(maps.Keys(manifests(t)))
	for _, want := range []string{
		"Namespace waybill", "Secret waybill", "Deployment waybill-api", "Deployment waybill-worker", "Service waybill-api", "Service waybill-ops",
		"PodDisruptionBudget waybill-api", "PodDisruptionBudget waybill-worker", "HorizontalPodAutoscaler waybill-api", "ScaledObject waybill-worker", "NetworkPolicy waybill",
	} {
		if !slices.Contains(have, want) {
			t.Errorf("%s is missing of %v", want, have)
		}
	}
}

func TestKubernetes_PodsAreHardenedProbedAndEndInTime(t *testing.T) {
	t.Parallel()
	objects := manifests(t)
	for _, name := range []string{"api", "worker"} {
		d, ok := objects["Deployment waybill-"+name].(*appsv1.Deployment)
		if !ok {
			t.Fatalf("there is no Deployment of %s", name)
		}
		pod, c := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
		environment := map[string]string{}
		for _, v := range c.Env {
			environment[v.Name] = v.Value
		}
		checkSettings(t, name, environment)
		grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
		if c.Lifecycle != nil {
			grace -= time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		}
		checkGrace(t, name, grace, environment)
		checkPinned(t, name, c.Image)
		if c.LivenessProbe.HTTPGet.Path != "/livez" || !strings.HasPrefix(c.ReadinessProbe.HTTPGet.Path, "/readyz") {
			t.Errorf("%s: probes %v, %v", name, c.LivenessProbe, c.ReadinessProbe)
		}
		if !*pod.SecurityContext.RunAsNonRoot || !*c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation || d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
			t.Errorf("%s is not hardened, or is rolled with fewer than there are", name)
		}
		checkVolumes(t, objects, pod, environment)
	}
}

// checkVolumes: each file that a setting names is in a secret or config map that
// is there.
func checkVolumes(t *testing.T, objects map[string]any, pod corev1.PodSpec, environment map[string]string) {
	t.Helper()
	mounts := map[string]string{}
	for _, m := range pod.Containers[0].VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	files := map[string]bool{}
	for _, v := range pod.Volumes {
		switch {
		case v.Secret != nil:
			secret, _ := objects["Secret "+v.Secret.SecretName].(*corev1.Secret)
			for key := range secret.StringData {
				files[mounts[v.Name]+"/"+key] = true
			}
		case v.ConfigMap != nil:
			config, ok := objects["ConfigMap "+v.ConfigMap.Name].(*corev1.ConfigMap)
			if !ok {
				t.Fatalf("there is no ConfigMap %s", v.ConfigMap.Name)
			}
			for key := range config.Data {
				files[mounts[v.Name]+"/"+key] = true
			}
		}
	}
	for name, value := range environment {
		if strings.HasPrefix(value, "/") && !files[value] {
			t.Errorf("%s is %s, which is not among %v", name, value, slices.Sorted(maps.Keys(files)))
		}
	}
}

// TestKubernetes_Selects: what selects pods selects some.
func TestKubernetes_Selects(t *testing.T) {
	t.Parallel()
	objects := manifests(t)
	var pods []map[string]string
	for _, o := range objects {
		if d, ok := o.(*appsv1.Deployment); ok {
			pods = append(pods, d.Spec.Template.Labels)
		}
	}
	selectors := map[string]map[string]string{}
	for name, o := range objects {
		switch o := o.(type) {
		case *corev1.Service:
			selectors[name] = o.Spec.Selector
		case *policyv1.PodDisruptionBudget:
			selectors[name] = o.Spec.Selector.MatchLabels
		case *networkingv1.NetworkPolicy:
			selectors[name] = o.Spec.PodSelector.MatchLabels
		case *autoscalingv2.HorizontalPodAutoscaler:
			if objects["Deployment "+o.Spec.ScaleTargetRef.Name] == nil {
				t.Errorf("%s scales %q", name, o.Spec.ScaleTargetRef.Name)
			}
		case *scaledObject:
			if objects["Deployment "+o.Spec.ScaleTargetRef.Name] == nil {
				t.Errorf("%s scales %q", name, o.Spec.ScaleTargetRef.Name)
			}
		}
	}
	for name, selector := range selectors {
		if !slices.ContainsFunc(pods, func(labels map[string]string) bool { return contains(labels, selector) }) {
			t.Errorf("%s selects no pod: %v", name, selector)
		}
	}
}

func contains(labels, selector map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}
