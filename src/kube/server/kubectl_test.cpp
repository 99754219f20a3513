// The real kubectl against the server, for objects that need no controller. Skipped where there is
// none.

#include "cloudlet/io/process.h"
#include "fake_node.h"

namespace cloudlet::kube::server::testing {
namespace {

struct Ran {
    int status = -1;
    std::string out;
};

class Kubectl : public ::testing::Test {
protected:
    void SetUp() override {
        if (access("/usr/bin/kubectl", X_OK) != 0) GTEST_SKIP() << "kubectl is not installed";
        world_ = std::make_unique<World>();
        config_ = world_->kubeconfig();
    }
    Ran run(const std::string& arguments, const std::string& input = {}) {
        const std::string file = world_->folder() + "/input";
        std::ofstream(file) << input;
        const std::string line = "exec env " + environment_ + "HOME=" + world_->folder() +
                                 " /usr/bin/kubectl --kubeconfig=" + config_ +
                                 " --cache-dir=" + world_->folder() + "/cache " + arguments +
                                 " 2>&1 < " + file;
        auto output = io::run({"/bin/sh", "-c", line}, std::chrono::seconds(60));
        if (!output) return {-1, output.error().to_string()};
        return {output->exit_status.code, output->out};
    }
    /// Runs it, expects success and the text in its output.
    void expect(const std::string& arguments, const std::string& text,
                const std::string& input = {}) {
        const Ran ran = run(arguments, input);
        EXPECT_EQ(ran.status, 0) << arguments << ", for " << text << "\n" << ran.out;
        EXPECT_NE(ran.out.find(text), std::string::npos) << arguments << ", for " << text << "\n"
                                                         << ran.out;
    }
    /// The same where the status does not matter.
    void expect_text(const std::string& arguments, const std::string& text,
                     const std::string& input = {}) {
        const Ran ran = run(arguments, input);
        EXPECT_NE(ran.out.find(text), std::string::npos) << arguments << ", for " << text << "\n"
                                                         << ran.out;
    }
    void expect_failure(const std::string& arguments, const std::string& text,
                        const std::string& input = {}) {
        const Ran ran = run(arguments, input);
        EXPECT_NE(ran.status, 0) << arguments << ", for " << text << "\n" << ran.out;
        EXPECT_NE(ran.out.find(text), std::string::npos) << arguments << ", for " << text << "\n"
                                                         << ran.out;
    }

    FakeNode node_;
    std::unique_ptr<World> world_;
    std::string config_;
    std::string environment_; // "NAME=value " before the command
};

TEST_F(Kubectl, GivenARunningPodThenLogsAndExecReachItOverWebSocketAndSpdy) {
    world_->server().set_node_connector(&node_);
    world_->client().create(resources::pods, "default", pod("p"));
    bind(*world_, "p");
    expect("logs p", "first\nsecond\n");
    expect("logs p --tail=1", "second\n");
    expect("exec p -- echo a b", "command: echo a b");
    expect("exec -i p -- cat", "typed text", "typed text");
    const Ran failed = run("exec p -- exit 7");
    EXPECT_EQ(failed.status, 7) << failed.out;
    EXPECT_NE(failed.out.find("command terminated with exit code 7"), std::string::npos)
        << failed.out;
    environment_ = "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false ";
    expect("exec p -- echo a b", "command: echo a b");
    expect("exec -i p -- cat", "typed text", "typed text");
    EXPECT_EQ(run("exec p -- exit 7").status, 7);
}

TEST_F(Kubectl, GivenADeploymentThenApplyPatchLabelScaleAndDeleteWork) {
    const std::string object = deployment("web").dump();
    expect("version", "Server Version: v1.32.13+cloudlet");
    expect("apply -f -", "deployment.apps/web created", object);
    expect("apply -f -", "deployment.apps/web unchanged", object);
    expect("apply -f -", "deployment.apps/web unchanged",
           R"({"apiVersion":"v1","kind":"List","items":[)" + object + "]}");
    expect("apply -f -", "deployment.apps/web configured", deployment("web", 2).dump());
    expect("get deployments", "web    0/2", {});
    expect("get deployments -o wide", "web:1");
    expect("get deploy web -o jsonpath={.spec.replicas}", "2");
    expect("label deploy web x=y", "deployment.apps/web labeled");
    expect("annotate deploy web x=y", "deployment.apps/web annotated");
    expect("scale deploy web --replicas=4", "deployment.apps/web scaled");
    expect("scale deploy web --current-replicas=4 --replicas=5", "deployment.apps/web scaled");
    expect("patch deploy web -p '{\"spec\":{\"paused\":true}}'", "deployment.apps/web patched");
    expect("set image deploy/web main=web:2", "deployment.apps/web image updated");
    expect_text("diff -f -", "web:2", deployment("web").dump());
    expect("replace -f -", "deployment.apps/web replaced", object);
    expect("describe deploy web", "StrategyType:");
    expect("delete deploy web --wait=true", "deployment.apps \"web\" deleted");
    expect_failure("get deploy web",
                   "Error from server (NotFound): deployments.apps \"web\" not found");
}

TEST_F(Kubectl, GivenSmallObjectsThenTheyAreListedWatchedWaitedForAndExplained) {
    expect("create -f -", "configmap/a created", config_map("a").dump());
    expect("create -f -", "pod/p created", pod("p").dump());
    expect("create -f -", "service/s created", service("s", "NodePort").dump());
    expect("get cm,po,svc", "configmap/a");
    expect("get all", "pod/p");
    expect("get svc s", "NodePort");
    expect("get ns --sort-by=.metadata.name", "kube-node-lease");
    expect("get ns --show-labels", "kubernetes.io/metadata.name=default");
    expect("get pods -A -o yaml", "serviceAccountName: default");
    expect("wait pod/p --for=jsonpath='{.status.phase}'=Pending --timeout=20s",
           "pod/p condition met");
    expect_failure("wait pod/p --for=condition=Ready --timeout=1s", "timed out waiting");
    expect_text("get pods -w --request-timeout=2s", "p      0/1");
    expect("explain deployment.spec.replicas", "FIELD: replicas <integer>");
    expect("api-resources", "deployments");
    expect("api-versions", "apps/v1");
    expect("describe pod p", "Service Account:");
    expect("describe svc s", "NodePort:");
    expect("delete pod p", "pod \"p\" deleted");
    expect("delete cm --all", "configmap \"a\" deleted");
}

TEST_F(Kubectl, GivenWhatIsNotServedThenTheMessageSaysWhatToDo) {
    expect_failure("create configmap c --from-literal=a=b", "kubectl create -f FILE");
    expect_failure("create token default",
                   "kubectl create --raw "
                   "/api/v1/namespaces/default/serviceaccounts/default/token -f FILE");
    expect("create --raw /api/v1/namespaces/default/serviceaccounts/default/token -f -",
           "expirationTimestamp",
           R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}})");
    expect_failure("apply --server-side -f -", "without --server-side", deployment("web").dump());
    expect_failure(
        "create -f -", "unknown field \"spec.replica\"",
        R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"replica":1}})");
    expect_failure("get unicorns", "the server doesn't have a resource type \"unicorns\"");
    expect_failure("logs nobody", "pods \"nobody\" not found");
    world_->client().create(resources::pods, "default", pod("p"));
    expect_failure("debug p --image=web:1", "ephemeral containers are disabled for this cluster");
}

} // namespace
} // namespace cloudlet::kube::server::testing
