using Analytics.Actors.Core;
using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Records;
using Microsoft.Extensions.Logging;

namespace Analytics.Actors.Node.Hosting;

/// <summary>Which dead letters are to be replayed or discarded: those named, or all open ones that a filter means.</summary>
/// <param name="Ids">Null: the filter says which.</param>
/// <param name="Limit">How many at most, by filter.</param>
/// <param name="By">Who ordered it.</param>
public sealed record DeadLetterOrder(DeadLetterState State, IReadOnlyList<DeadLetterId>? Ids, DeadLetterFilter Filter, int Limit, string By);

/// <summary>What became of an order.</summary>
/// <param name="Done">Closed, and the checkpoint that says so has committed.</param>
/// <param name="Refused">Not closed, and why.</param>
/// <param name="More">By filter: there were more than the limit.</param>
public sealed record DeadLetterReceipt(IReadOnlyList<DeadLetterId> Done, IReadOnlyList<(string Letter, string Why)> Refused, bool More);

/// <summary>Has another node carry out an order about letters of its shards; null where it does not answer.</summary>
public delegate Task<DeadLetterReceipt?> DeadLetterForward(string node, DeadLetterOrder order);

/// <summary>
/// Where people look at dead letters and decide about them. What is read comes from the store, of all shards; an order goes
/// to the shard that wrote the letter, through the node that owns it, and is done when the store says so.
/// </summary>
public sealed class DeadLetterDesk : IDisposable
{
    // So many letters are read and sent together; the next ones follow when these have committed and the outbox has room.
    private const int AtOnce = 100;

    private static readonly TimeSpan CommitLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromMilliseconds(20);

    // One order after another: each may put a share into an outbox.
    private readonly SemaphoreSlim ordering = new(1);
    private readonly NodeHost node;
    private readonly IDeadLetterStore store;
    private readonly TimeProvider time;
    private readonly ILogger logger;

    public DeadLetterDesk(NodeHost node, IDeadLetterStore store, TimeProvider time, ILogger logger)
    {
        this.node = node;
        this.store = store;
        this.time = time;
        this.logger = logger;
    }

    public ValueTask<IReadOnlyList<StoredDeadLetter>> ListAsync(DeadLetterFilter filter, DeadLetterId? after, int limit, CancellationToken cancellation) =>
        store.ListDeadLettersAsync(filter, after, limit, cancellation);

    /// <summary>Null where it is not stored (any more).</summary>
    public async ValueTask<StoredDeadLetter?> FindAsync(DeadLetterId id, CancellationToken cancellation) =>
        id.Shard.Value < node.Options.Shards ? await store.FindDeadLetterAsync(id, cancellation).ConfigureAwait(false) : null;

    /// <summary>Why a letter cannot be replayed; null where it can.</summary>
    public string? WhyNotReplayed(DeadLetter letter) => DeadLetterReplay.WhyNot(letter, node.Pipeline);

    /// <param name="forward">How letters of other nodes' shards reach their owners; null: they are refused.</param>
    public async Task<DeadLetterReceipt> OrderAsync(DeadLetterOrder order, DeadLetterForward? forward, CancellationToken cancellation)
    {
        logger.LogInformation(
            "DeadLettersOrdered: {By} orders {State} of {What}", order.By, order.State,
            order.Ids is { } ids ? string.Join(", ", ids) : $"up to {order.Limit} of {order.Filter}");
        await ordering.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            var run = new Run(this, order, forward);
            if (order.Ids is not null) await run.ByIdAsync(cancellation).ConfigureAwait(false);
            else await run.ByFilterAsync(cancellation).ConfigureAwait(false);
            return run.Receipt;
        }
        finally
        {
            ordering.Release();
        }
    }

    public void Dispose() => ordering.Dispose();

    /// <summary>One order being carried out.</summary>
    private sealed class Run(DeadLetterDesk desk, DeadLetterOrder order, DeadLetterForward? forward)
    {
        private readonly List<DeadLetterId> done = [];
        private readonly List<(string, string)> refused = [];
        private bool more;

        public DeadLetterReceipt Receipt => new(done, refused, more);

        public async Task ByIdAsync(CancellationToken cancellation)
        {
            foreach (var shard in order.Ids!.Distinct().Order().GroupBy(id => id.Shard))
            {
                if (shard.Key.Value >= desk.node.Options.Shards)
                {
                    foreach (var id in shard) refused.Add(($"{id}", $"the shards are 0 to {desk.node.Options.Shards - 1}"));
                    continue;
                }

                foreach (var some in shard.Chunk(AtOnce))
                {
                    if (await EpochAsync(shard.Key).ConfigureAwait(false) is not { } epoch)
                    {
                        await PassOnAsync(shard.Key, some, cancellation).ConfigureAwait(false);
                        continue;
                    }

                    List<StoredDeadLetter> found = [];
                    foreach (var id in some)
                    {
                        if (await desk.FindAsync(id, cancellation).ConfigureAwait(false) is { } letter) found.Add(letter);
                        else refused.Add(($"{id}", "there is no such letter (any more)"));
                    }

                    await CloseAsync(shard.Key, epoch, found, cancellation).ConfigureAwait(false);
                }
            }
        }

        public async Task ByFilterAsync(CancellationToken cancellation)
        {
            var filter = order.Filter with { State = DeadLetterState.Open };
            for (var number = 0; number < desk.node.Options.Shards; number++)
            {
                var shard = new ShardId(number);
                var above = 0L;
                while (true)
                {
                    // The epoch first: what is read after it was seen is what this owner would know.
                    var epoch = await EpochAsync(shard).ConfigureAwait(false);
                    var left = order.Limit - done.Count;
                    var letters = await desk.store.ReadDeadLettersAsync(shard, filter, above, Math.Clamp(left, 1, AtOnce), cancellation).ConfigureAwait(false);
                    if (letters.Count == 0) break;
                    if (left <= 0)
                    {
                        more = true;
                        return;
                    }

                    above = letters[^1].Id.Number;
                    if (epoch is null)
                    {
                        if (await PassOnAsync(shard, letters.Select(letter => letter.Id).ToList(), cancellation).ConfigureAwait(false)) continue;
                        break;
                    }

                    if (!await CloseAsync(shard, epoch.Value, letters, cancellation).ConfigureAwait(false)) break;
                }
            }
        }

        /// <summary>False where the shard did not do it in time: what follows of it must not overtake.</summary>
        private async Task<bool> CloseAsync(ShardId shard, Epoch epoch, IReadOnlyList<StoredDeadLetter> found, CancellationToken cancellation)
        {
            List<DeadLetter> letters = [];
            foreach (var letter in found)
            {
                var why = letter.State != DeadLetterState.Open
                    ? $"it was {letter.State.ToString().ToLowerInvariant()} at {DateTimeOffset.FromUnixTimeMilliseconds(letter.ChangedMs):u} by {letter.ChangedBy}"
                    : order.State == DeadLetterState.Replayed ? desk.WhyNotReplayed(letter.Letter) is { } reason ? $"cannot be replayed: {reason}" : null : null;
                if (why is null) letters.Add(letter.Letter);
                else refused.Add(($"{letter.Id}", why));
            }

            if (letters.Count == 0) return true;
            desk.node.Shards!.Post(new DeadLettersOrdered(shard, epoch, letters, order.State, order.By));
            // All of them are closed by one checkpoint, so one of them tells of all.
            var begun = desk.time.GetTimestamp();
            while (await desk.store.FindDeadLetterAsync(letters[^1].Id!.Value, cancellation).ConfigureAwait(false) is { State: DeadLetterState.Open })
            {
                if (desk.time.GetElapsedTime(begun) > CommitLimit)
                {
                    foreach (var letter in letters)
                        refused.Add(($"{letter.Id}", $"its shard did not confirm it within {CommitLimit.TotalSeconds:0} s; look again, and repeat the order if it is still open"));
                    return false;
                }

                await Task.Delay(LookAgainAfter, desk.time, cancellation).ConfigureAwait(false);
            }

            foreach (var letter in letters)
            {
                var id = letter.Id!.Value;
                if ((await desk.store.FindDeadLetterAsync(id, cancellation).ConfigureAwait(false))?.State == order.State) done.Add(id);
                else refused.Add(($"{id}", "somebody else closed it meanwhile, or it has been kept long enough; look again"));
            }

            return true;
        }

        /// <summary>The epoch in which this node runs the shard, once it has room for more; null where it does not run it, or has no room in time.</summary>
        private async Task<Epoch?> EpochAsync(ShardId shard)
        {
            var begun = desk.time.GetTimestamp();
            while (true)
            {
                var found = await desk.node.Shards!.Ask(core => core.Phases.Any(slot => slot.Shard == shard && slot.Phase == ShardPhase.Running)
                    ? (core.Find(shard)!.Epoch, core.Find(shard)!.IsFull)
                    : ((Epoch, bool)?)null).ConfigureAwait(false);
                if (found is not { } running) return null;
                if (!running.Item2) return running.Item1;
                if (desk.time.GetElapsedTime(begun) > CommitLimit) return null;
                await Task.Delay(LookAgainAfter, desk.time, CancellationToken.None).ConfigureAwait(false);
            }
        }

        /// <summary>Letters of a shard that this node does not run: its owner closes them, or they are refused, which is false.</summary>
        private async Task<bool> PassOnAsync(ShardId shard, IReadOnlyList<DeadLetterId> ids, CancellationToken cancellation)
        {
            var owner = (await desk.store.OwnerAsync(shard, cancellation).ConfigureAwait(false)).Name;
            var own = desk.node.Options.NodeId;
            var why = owner == own ? $"shard {shard} is on its way to this node, or has as much in hand as it may; try again"
                : owner.Length == 0 ? $"shard {shard} is owned by no node; try again when it is"
                : $"shard {shard} is owned by {owner}, not by {own}";
            if (forward is not null && owner != own && owner.Length > 0)
            {
                if (await forward(owner, order with { Ids = ids, Filter = new DeadLetterFilter(State: DeadLetterState.Open) }).ConfigureAwait(false) is { } receipt)
                {
                    done.AddRange(receipt.Done);
                    refused.AddRange(receipt.Refused);
                    return true;
                }

                why = $"shard {shard} is owned by {owner}, which does not answer; look again, and repeat the order if it is still open";
            }

            foreach (var id in ids) refused.Add(($"{id}", why));
            return false;
        }
    }
}
