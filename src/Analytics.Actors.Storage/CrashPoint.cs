using System.Diagnostics;
using System.Globalization;

namespace Analytics.Actors.Storage;

/// <summary>
/// Places at which a node can be made to end at once, as by SIGKILL, to show that none of them loses or doubles anything.
/// Nothing happens at them unless <see cref="Arm"/> was called with the value of <see cref="Variable"/>; then the process
/// ends when it reaches the named place, or reaches it for the given time. The points of a checkpoint store stand in the
/// stores, all others in the node's host; the class is here because both see it.
/// </summary>
public static class CrashPoint
{
    /// <summary>The environment's variable: NAME or NAME:COUNT, the COUNT-th time that the place is reached.</summary>
    public const string Variable = "ANALYTICS_CRASH_AT";

    /// <summary>A group commit has been decided; its transaction has not begun.</summary>
    public const string CheckpointBeforeTransaction = "checkpoint.before-transaction";
    /// <summary>In the transaction, the fences are passed; no other row is written.</summary>
    public const string CheckpointAfterFence = "checkpoint.after-fence";
    /// <summary>All rows are written; COMMIT has not been asked for.</summary>
    public const string CheckpointBeforeCommit = "checkpoint.before-commit";
    /// <summary>It has committed; the node does not know yet.</summary>
    public const string CheckpointAfterCommit = "checkpoint.after-commit";

    /// <summary>An entry's checkpoint has committed; it has not been sent.</summary>
    public const string OutboxBeforeSend = "outbox.before-send";
    /// <summary>The broker has an entry; its acknowledgement has not been handled.</summary>
    public const string OutboxSent = "outbox.sent";
    /// <summary>Acknowledgements are known; the checkpoint that removes their entries has not begun.</summary>
    public const string OutboxBeforeRemoval = "outbox.before-removal";

    /// <summary>Shards were taken away; their last checkpoint has not begun.</summary>
    public const string HandoverBeforeLastCheckpoint = "handover.before-last-checkpoint";
    /// <summary>The last checkpoint has committed; the group does not know that the shard is released.</summary>
    public const string HandoverBeforeRelease = "handover.before-release";

    /// <summary>A takeover has raised the epoch, and read nothing.</summary>
    public const string TakeoverAfterEpoch = "takeover.after-epoch";
    /// <summary>A takeover has read the shard; no record of it has been processed.</summary>
    public const string TakeoverAfterReading = "takeover.after-reading";
    /// <summary>Rows of stations that records wait for are read; the shard does not have them.</summary>
    public const string StationsLoading = "stations.loading";
    /// <summary>A page of the search for owed calls and timers is read; the shard does not have it.</summary>
    public const string RecoverySearching = "recovery.searching";

    /// <summary>An envelope is about to be sent.</summary>
    public const string RouterBeforeSend = "router.before-send";
    /// <summary>The broker has an envelope; its acknowledgement has not been handled.</summary>
    public const string RouterSent = "router.sent";
    /// <summary>Records are routed and acknowledged; their offsets are not committed.</summary>
    public const string RouterBeforeCommit = "router.before-commit";
    /// <summary>The offsets are committed; the router does not know yet.</summary>
    public const string RouterAfterCommit = "router.after-commit";

    /// <summary>A module's code has been given its input.</summary>
    public const string ModuleRunning = "module.running";

    private static bool isArmed;
    private static string armedAt = "";
    private static int left;

    /// <summary>All names, in the order of a record's path.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        RouterBeforeSend, RouterSent, RouterBeforeCommit, RouterAfterCommit, StationsLoading, ModuleRunning,
        CheckpointBeforeTransaction, CheckpointAfterFence, CheckpointBeforeCommit, CheckpointAfterCommit,
        OutboxBeforeSend, OutboxSent, OutboxBeforeRemoval, HandoverBeforeLastCheckpoint, HandoverBeforeRelease,
        TakeoverAfterEpoch, TakeoverAfterReading, RecoverySearching,
    ];

    /// <summary>
    /// Arms the point that the variable names, once, before the node starts. Null or empty: none. Returns what is wrong with
    /// the value; null where nothing is.
    /// </summary>
    public static string? Arm(string? value)
    {
        if (string.IsNullOrEmpty(value)) return null;
        var parts = value.Split(':');
        var count = 1;
        var isNumber = parts.Length == 1 || (parts.Length == 2 && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out count) && count > 0);
        if (!isNumber || !Names.Contains(parts[0])) return $"{Variable}={value}: must be NAME or NAME:COUNT with COUNT from 1, and NAME one of {string.Join(", ", Names)}";
        armedAt = parts[0];
        left = count;
        isArmed = true;
        return null;
    }

    /// <summary>The place has been reached: where it is the armed one, for the armed time, this does not return.</summary>
    public static void Reached(string point)
    {
        if (isArmed) Count(point);
    }

    private static void Count(string point)
    {
        if (point != armedAt || Interlocked.Decrement(ref left) != 0) return;
        using var self = Process.GetCurrentProcess();
        self.Kill();
        // The signal ends every thread; this one goes no further in the meantime.
        Thread.Sleep(Timeout.Infinite);
    }
}
