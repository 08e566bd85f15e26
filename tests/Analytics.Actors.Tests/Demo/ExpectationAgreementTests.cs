using Analytics.Actors.Core.Pipeline;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Core.Windows;
using Analytics.Actors.Node.Demo;
using Analytics.Actors.Tests.Records;

namespace Analytics.Actors.Tests.Demo;

/// <summary>
/// What the fleet expects of its records is written by hand; here the core, with the default pipeline, is held against it.
/// </summary>
public class ExpectationAgreementTests
{
    private const long StartMs = 1_763_000_000_000;

    [Fact]
    public void The_core_takes_every_record_apart_as_the_fleet_expects()
    {
        var pipeline = Pipeline();
        using var fleet = new StationFleet(new FleetOptions { StartMs = StartMs });
        var bad = 0;
        foreach (var record in fleet.Next(StartMs + 30_000))
        {
            var topic = pipeline.Topics[record.Topic];
            var split = SampleRecords.Split(topic, record.Value);
            split.IsGlobal.ShouldBe(record.Expectation.IsGlobal);
            var rejections = split.Rejected.Select(item => new ExpectedRejection(item.Index, item.Reason.Code)).ToList();
            foreach (var part in split.Parts)
            {
                part.Ordinal.ShouldBe(0);
                // A window counts items inside the part: the parts that a window refuses hold consecutive items.
                rejections.AddRange(TopicWindows.Create(topic, pipeline.TimeZone).Apply(split.ItemsOf(part), record.TimestampMs, record.TimestampMs)
                    .Rejected.Select(item => new ExpectedRejection(part.Index + item.Index, item.Reason.Code)));
            }

            rejections.ShouldBe(record.Expectation.Rejections, $"{record.Topic} {record.Expectation.Bad}: {string.Join(", ", split.Rejected.Select(item => item.Reason))}");
            if (split.IsGlobal) split.Parts.ShouldHaveSingleItem().Index.ShouldBe(0);
            else split.Parts.Select(part => new ExpectedPart(part.StationText, part.Index)).ShouldBe(record.Expectation.Parts);
            if (rejections.Count > 0) bad++;
        }

        bad.ShouldBeGreaterThan(20);
    }

    private static PipelineConfiguration Pipeline()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder!.FullName, "Analytics.Actors.sln"))) folder = folder.Parent;
        const string file = "cluster-config/pipeline.json";
        return PipelineReader.Read(File.ReadAllBytes(Path.Combine(folder.FullName, file)), file).Configuration.ShouldNotBeNull();
    }
}
