namespace Analytics.Actors.Core.Checkpoints;

/// <summary>
/// Versions of the pipeline's configuration, and from which offset of each source partition on which of them routes. A
/// router processes an offset only below what it was granted, under the rules that it read when it was; new rules begin at
/// what has been granted. So every router, also one that nobody expects any more, processes an offset in the same way.
/// Fails as <see cref="ICheckpointStore"/> does; to repeat any of these does no harm.
/// </summary>
public interface IConfigurationStore
{
    /// <summary>A version with its text; without a number the current one. Null where there is none.</summary>
    ValueTask<ConfigurationVersion?> ReadConfigurationAsync(long? number, CancellationToken cancellation);

    /// <summary>All versions without their texts, the newest first.</summary>
    ValueTask<IReadOnlyList<ConfigurationVersion>> ListConfigurationsAsync(CancellationToken cancellation);

    /// <summary>
    /// Makes a text the next version, if the current one is still the expected one; else nothing changes, and the answer
    /// tells the current one. In one transaction, which no raise of a grant overlaps: where routing changes, every known
    /// partition's list gets the new version, from what is granted there on. Known is what has a row among grants or sources.
    /// </summary>
    ValueTask<ConfigurationOutcome> ApplyConfigurationAsync(ConfigurationChange change, CancellationToken cancellation);

    /// <summary>
    /// Raises grants, never lowers one, and reads each partition's list in the same transaction, which no change of the
    /// configuration overlaps. A partition's first list is the current version. A grant is not raised where the partition's
    /// last version is newer than <paramref name="known"/>: the caller could not process what he was granted. Answers in the
    /// order asked for.
    /// </summary>
    /// <param name="known">The newest version that the caller holds.</param>
    ValueTask<IReadOnlyList<SourceGrant>> RaiseGrantsAsync(IReadOnlyList<GrantRequest> requests, long known, CancellationToken cancellation);

    /// <summary>What is granted of every known partition, by topic, partition and incarnation.</summary>
    ValueTask<IReadOnlyList<SourceGrant>> ReadGrantsAsync(CancellationToken cancellation);
}

/// <summary>One version of the pipeline's configuration.</summary>
/// <param name="Number">1 for the first one.</param>
/// <param name="Text">The pipeline file; empty in a list.</param>
/// <param name="By">Who applied it.</param>
/// <param name="AppliedMs">When, ms since 1970 UTC.</param>
public sealed record ConfigurationVersion(long Number, string Text, string By, long AppliedMs, string Comment);

/// <summary>A version to be.</summary>
/// <param name="Expected">The current version's number, 0 where there is none yet.</param>
/// <param name="Reroutes">It changes how records are routed.</param>
public sealed record ConfigurationChange(long Expected, string Text, string By, long AppliedMs, string Comment, bool Reroutes);

/// <summary>What became of a change.</summary>
/// <param name="Current">The current version's number now.</param>
public sealed record ConfigurationOutcome(bool Applied, long Current);

/// <summary>A router's wish: to process this partition's offsets below <paramref name="UpTo"/>.</summary>
public sealed record GrantRequest(TopicPartition Partition, int Incarnation, long UpTo);

/// <summary>From this offset on records are routed by this version.</summary>
public readonly record struct RulesFrom(long Version, long FromOffset);

/// <summary>How far a partition may be processed, and by which versions.</summary>
/// <param name="Granted">The first offset that nobody may process yet.</param>
/// <param name="Rules">By version; offsets never fall.</param>
public sealed record SourceGrant(TopicPartition Partition, int Incarnation, long Granted, IReadOnlyList<RulesFrom> Rules)
{
    /// <summary>Where nothing ever changes: one version routes everything.</summary>
    public static SourceGrant Everything(TopicPartition partition, int incarnation, long version) => new(partition, incarnation, long.MaxValue, [new RulesFrom(version, 0)]);

    /// <summary>The version that routes this offset: the last one that begins at or before it.</summary>
    public long VersionAt(long offset)
    {
        for (var index = Rules.Count - 1; index > 0; index--)
        {
            if (Rules[index].FromOffset <= offset) return Rules[index].Version;
        }

        return Rules[0].Version;
    }
}
