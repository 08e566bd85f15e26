using Analytics.Actors.Node.Http;
using Analytics.Actors.Tests.CoreRules;
using static Analytics.Actors.Tests.CoreRules.CoreNode;
using static Analytics.Actors.Tests.CoreRules.SmallPipelines;

namespace Analytics.Actors.Tests.Http;

/// <summary>What the API says of batches that wait, and of those that ended and are kept for late answers.</summary>
public class BatchViewTests
{
    [Fact]
    public void Batches_that_wait_come_first_and_those_that_ended_say_until_when_they_are_kept()
    {
        var node = new CoreNode(OneModule()).Hold("m");
        node.Produce(Meters, Values(1, "S1", "S2", "S3"));
        node.Answer("m", "S2", Result("{}"));
        node.Advance(5_000);
        node.Answer("m", "S1", Result("{}"));
        node.Produce(Meters, Values(2, "S4"));
        node.Advance(1_000);
        WorkViews.Batches(node.Core, 10).Select(batch => batch!.ToJsonString()).ShouldBe(
        [
            $$"""{"batch_id":"METERS:0:1","module":"m","shard":0,"open":true,"expected":1,"answered":0,"opened":{{StartMs + 5_000}},"deadline":{{StartMs + 10_000}},"ended":null,"retained_until":null,"revision":0,"waits_for":["S4"]}""",
            $$"""{"batch_id":"METERS:0:0","module":"m","shard":0,"open":false,"expected":3,"answered":2,"opened":{{StartMs}},"deadline":null,"ended":{{StartMs + 5_000}},"retained_until":{{StartMs + 605_000}},"revision":2,"waits_for":["S3"]}""",
        ]);
        WorkViews.OpenBatches(node.Core)["m"].ShouldBe(1);
    }
}
