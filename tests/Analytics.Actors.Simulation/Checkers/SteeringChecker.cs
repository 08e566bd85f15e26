using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Protocol;
using Analytics.Actors.Core.Shards;

namespace Analytics.Actors.Simulation;

/// <summary>
/// Orders for stations: done when the operator hears so, once, and not at all where he hears that; a paused station answers
/// nothing, also after its shard has moved; of a forgotten one nothing is left until its next record.
/// </summary>
public sealed class SteeringChecker(Cluster cluster)
{
    private const string Paused = "the station is paused", Forgotten = "the station was forgotten";

    private readonly HashSet<long> refused = [];

    /// <summary>Orders that were heard to be done.</summary>
    public long Done { get; private set; }

    public static bool IsReason(string reason) => reason is Paused or Forgotten;

    public void Ended(SimulatedProcess process, StationOrderEnded ended, Action<Finding> report)
    {
        cluster.World.Tell(() => $"{process.Name}: order {ended.Number} ended: {ended.Outcome}");
        if (ended.Outcome is StationOrderOutcome.NotCarriedOut or StationOrderOutcome.UnknownStation) refused.Add(ended.Number);
        if (ended.Outcome != StationOrderOutcome.Done) return;
        Done++;
        if (!Steered().Any(steered => steered.Number == ended.Number)) report(new Finding($"{process.Name} says that order {ended.Number} is done, and no checkpoint holds it"));
    }

    public void Judge(Action<Finding> report)
    {
        foreach (var twice in Steered().GroupBy(steered => steered.Number).Where(group => group.Count() > 1))
            report(new Finding($"order {twice.Key} was carried out {twice.Count()} times", twice.First().Station));
        foreach (var steered in Steered().Where(steered => refused.Contains(steered.Number)))
            report(new Finding($"order {steered.Number} was carried out, and its operator heard that it was not", steered.Station));
        for (var shard = 0; shard < cluster.Settings.ShardCount; shard++) Walk(new ShardId(shard), report);
    }

    private IEnumerable<StationSteered> Steered() => cluster.Store.Timeline.OfType<Committed>().SelectMany(committed => committed.Events.OfType<StationSteered>());

    private void Walk(ShardId shard, Action<Finding> report)
    {
        var paused = new HashSet<string>();
        var rows = new HashSet<(EntityKind Kind, string Key)>();
        foreach (var committed in cluster.Store.Timeline.OfType<Committed>().Where(committed => committed.Shard == shard))
        {
            var before = paused.ToHashSet();
            var forgotten = new HashSet<string>();
            var gone = new HashSet<string>();
            foreach (var happened in committed.Events)
            {
                if (happened is PartApplied applied) gone.Remove(applied.Station);
                if (happened is not StationSteered steered) continue;
                if (steered.Order == StationOrder.Pause) paused.Add(steered.Station);
                else paused.Remove(steered.Station);
                if (steered.Order != StationOrder.Forget) continue;
                forgotten.Add(steered.Station);
                gone.Add(steered.Station);
            }

            void Wrong(string station, string text) => report(new Finding($"shard {shard}, checkpoint {committed.Checkpoint.Number} of epoch {committed.Epoch}: {text}", station));
            var steeredNow = committed.Events.OfType<StationSteered>().Select(steered => steered.Station).ToHashSet();
            foreach (var answer in Answers(committed))
            {
                var wasPaused = before.Contains(answer.Station);
                if (wasPaused && !steeredNow.Contains(answer.Station) && answer.Outcome != Outcome.Nothing) Wrong(answer.Station, $"station {answer.Station} is paused and answered batch {answer.Module} {answer.BatchId} with {answer.Outcome}");
                if (answer.Reason == Paused && !wasPaused && !committed.Events.OfType<StationSteered>().Any(steered => steered.Order == StationOrder.Pause && steered.Station == answer.Station))
                    Wrong(answer.Station, $"station {answer.Station} answered that it is paused, and was not");
                if (answer.Reason == Forgotten && !forgotten.Contains(answer.Station)) Wrong(answer.Station, $"station {answer.Station} answered that it was forgotten, and was not");
            }

            foreach (var row in committed.Checkpoint.Entities.Where(row => row.Kind is EntityKind.Station or EntityKind.Window))
            {
                if (row.State is null) rows.Remove((row.Kind, row.Key));
                else rows.Add((row.Kind, row.Key));
            }

            foreach (var (kind, key) in rows)
            {
                var station = kind == EntityKind.Station ? key : StationRows.StationOf(key);
                if (gone.Contains(station)) Wrong(station, $"station {station} was forgotten, and its row {kind} {key.Replace('\u001f', ' ')} is there");
            }
        }
    }

    // Answers wait for the checkpoint that sends them: they were given since the one before.
    private IEnumerable<Answer> Answers(Committed committed) => committed.Checkpoint.OutboxAdded
        .Where(entry => entry.Destination.Topic == cluster.Settings.BatchTopic)
        .SelectMany(entry => BatchEnvelope.Parser.ParseFrom(entry.Value).Answers);
}
