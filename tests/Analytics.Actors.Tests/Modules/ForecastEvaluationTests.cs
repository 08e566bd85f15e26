using System.Text.Json;
using Analytics.Actors.Node.Replay;
using Xunit.Abstractions;

namespace Analytics.Actors.Tests.Modules;

/// <summary>The accuracy that load_prediction promises, on the published data.</summary>
public class ForecastEvaluationTests(ITestOutputHelper output)
{
    [SharedDataFact]
    public void The_forecast_keeps_its_accuracy_on_Melbourne()
    {
        var report = ForecastEvaluation.Run(SharedData.Path("data"));
        output.WriteLine(report.ToText());
        report.Stations.Count.ShouldBe(37);
        report.Hours.ShouldBe(879);
        report.Mae[0].ShouldBeLessThanOrEqualTo(28.9);
        report.Wape[0].ShouldBeLessThanOrEqualTo(0.67);

        // Medians forecast too little; this says by how much at most. Yesterday's curve has no such bias.
        report.Bias[0].ShouldBeInRange(-0.15, 0);
        report.Bias[2].ShouldBe(0, 0.03);

        // The naive forecasts are what others measured on the same data: the protocol is the same.
        report.Mae[2].ShouldBe(33.78, 0.005);
        report.Wape[2].ShouldBe(0.772, 0.001);
        report.Mae[3].ShouldBe(36.71, 0.005);
        report.Wape[3].ShouldBe(0.834, 0.001);
        for (var naive = 1; naive < report.Mae.Count; naive++) report.Mae[0].ShouldBeLessThan(report.Mae[naive]);
    }

    [SharedDataFact]
    public void The_report_says_the_same_as_text_and_as_JSON()
    {
        var report = ForecastEvaluation.Run(SharedData.Path("data"), ["0", "34"]);
        using var json = JsonDocument.Parse(report.ToJson());
        var mae = json.RootElement.GetProperty("methods").GetProperty("load_prediction").GetProperty("mae").GetDouble();
        mae.ShouldBe((report.Stations[0].Mae[0] + report.Stations[1].Mae[0]) / 2, 1e-5);
        json.RootElement.GetProperty("stations").GetArrayLength().ShouldBe(2);
        report.ToText(perStation: true).Split('\n').Count(line => line.StartsWith("34 ", StringComparison.Ordinal)).ShouldBe(1);
    }
}
