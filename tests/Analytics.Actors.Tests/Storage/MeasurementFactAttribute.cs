namespace Analytics.Actors.Tests.Storage;

/// <summary>A measurement needs a quiet machine, and so runs on demand only.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class MeasurementFactAttribute : FactAttribute
{
    public MeasurementFactAttribute()
    {
        if (Environment.GetEnvironmentVariable("ANALYTICS_MEASURE") != "1") Skip = "A measurement: set ANALYTICS_MEASURE=1 to run it.";
    }
}
