using Analytics.Actors.Core.Protocol;

namespace Analytics.Actors.Core.Batches;

/// <summary>
/// The windows of one module and topic: how far event time has come, over all partitions of the topic, and which windows
/// are open. A window closes when event time has passed its end by the module's lateness.
/// </summary>
internal sealed class WindowClock(string module, string topic)
{
    public string Module => module;
    public string Topic => topic;

    /// <summary>The highest event time seen, ms since 1970 UTC.</summary>
    public long HighestMs { get; set; }

    /// <summary>Windows that begin before this are not kept any more: they never open again, or one would be told of twice.</summary>
    public long ForgottenMs { get; set; }

    /// <summary>Windows that wait, in the order of their opening.</summary>
    public List<Batch> Open { get; } = [];

    public WindowClockState Save() => new() { Module = module, Topic = topic, HighestMs = HighestMs, ForgottenMs = ForgottenMs };
}
