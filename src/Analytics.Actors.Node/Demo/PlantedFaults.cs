using Analytics.Actors.Core;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// Drops or doubles some parts inside the node on purpose, past the marks: the demo's checks must then say exactly so.
/// Called on the shards' thread.
/// </summary>
public sealed class PlantedFaults(int drop, int duplicate, Func<string, bool> isSource)
{
    // The first records set stations up; a fault among the running ones is the harder find.
    private const int SparedParts = 100;
    private const int PartsBetween = 10;

    private int seen;
    private int dropped;
    private int duplicated;

    /// <summary>How often to apply this part.</summary>
    public int Times(SourcePartition source, Place place)
    {
        if (!isSource(source.Topic) || ++seen <= SparedParts || seen % PartsBetween != 0) return 1;
        if (dropped < drop)
        {
            dropped++;
            return 0;
        }

        if (duplicated >= duplicate) return 1;
        duplicated++;
        return 2;
    }
}
