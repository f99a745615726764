// Command kubelet speaks to a credential provider plugin by the kubelet's own published types:
//
//	kubelet request VERSION IMAGE [TOKEN]  encodes a CredentialProviderRequest
//	kubelet read                           decodes, strictly, the CredentialProviderResponse or
//	                                       the CredentialProviderConfig on standard input, and
//	                                       prints it again
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	kubeletconfig "k8s.io/kubelet/config/v1"
	"k8s.io/kubelet/pkg/apis/credentialprovider"
	"k8s.io/kubelet/pkg/apis/credentialprovider/install"
)

func main() {
	log.SetFlags(0)
	scheme := runtime.NewScheme()
	install.Install(scheme)
	utilruntime.Must(kubeletconfig.AddToScheme(scheme))
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	switch os.Args[1] {
	case "request":
		request := &credentialprovider.CredentialProviderRequest{Image: os.Args[3]}
		if len(os.Args) > 4 {
			request.ServiceAccountToken = os.Args[4]
		}
		info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), "application/json")
		version := schema.GroupVersion{Group: credentialprovider.GroupName, Version: os.Args[2]}
		data, err := runtime.Encode(codecs.EncoderForVersion(info.Serializer, version), request)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(string(data))
	case "read":
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			log.Fatal(err)
		}
		object, kind, err := codecs.UniversalDeserializer().Decode(data, nil, nil)
		if err != nil {
			log.Fatal(err)
		}
		object.GetObjectKind().SetGroupVersionKind(*kind)
		if err := json.NewEncoder(os.Stdout).Encode(object); err != nil {
			log.Fatal(err)
		}
	default:
		log.Fatal("unknown action")
	}
}
