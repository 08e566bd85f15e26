using System.Diagnostics;
using System.Globalization;
using Analytics.Actors.Core;
using Analytics.Actors.Core.Records;
using Analytics.Actors.Kafka;
using Analytics.Actors.Node.Replay;

namespace Analytics.Actors.Node.Cli;

/// <summary>What the verb <c>replay</c> was asked for.</summary>
/// <param name="Speed">Event time over real time; 0: as fast as it goes.</param>
/// <param name="ToNow">Move all times by whole weeks, so that the data ends now.</param>
internal sealed record ReplayRequest(string Data, string Bootstrap, double Speed, int PushHours, int? Days, bool ToNow);

/// <summary>The verb <c>replay</c>: real data into Kafka at a chosen speed.</summary>
internal static class ReplayVerb
{
    private const int UnacknowledgedMax = 1_000;
    private static readonly DateTime DataStart = new(2023, 4, 1, 0, 0, 0, DateTimeKind.Unspecified);
    private static readonly DateTime DataEnd = new(2023, 10, 1, 0, 0, 0, DateTimeKind.Unspecified);

    public static async Task<int> RunAsync(ReplayRequest request, TextWriter output, CancellationToken cancellation)
    {
        if (!Directory.Exists(request.Data)) throw new BadArgumentsException($"--data {request.Data}: there is no such directory");
        if (request.Speed < 0) throw new BadArgumentsException($"--speed {request.Speed}: must be 0 or more");
        if (request.PushHours is < 1 or > 24 || 24 % request.PushHours != 0) throw new BadArgumentsException($"--push-hours {request.PushHours}: must divide 24");
        var options = new ReplayOptions
        {
            HoursBetweenPushes = request.PushHours,
            Stations = MelbourneStations.Usable,
            To = request.Days is { } days ? DataStart.AddDays(days) : DateTime.MaxValue,
            ShiftWeeks = request.ToNow ? (int)Math.Floor((DateTime.UtcNow - DataEnd).TotalDays / 7) : 0,
        };
        var kafka = new KafkaClientOptions { BootstrapServers = request.Bootstrap, ClientId = "analytics-replay" };
        using var producer = new PartitionProducer(kafka);
        using var admin = new TopicAdmin(kafka);
        using var room = new SemaphoreSlim(UnacknowledgedMax, UnacknowledgedMax);
        var partitions = new Dictionary<string, int>(StringComparer.Ordinal);
        var begun = Stopwatch.StartNew();
        long? firstMs = null;
        long sent = 0, failed = 0;
        string? failure = null;
        try
        {
            foreach (var record in ReplayData.Read(request.Data, options))
            {
                firstMs ??= record.TimestampMs;
                if (request.Speed > 0)
                {
                    var due = TimeSpan.FromMilliseconds((record.TimestampMs - firstMs.Value) / request.Speed);
                    if (due > begun.Elapsed) await Task.Delay(due - begun.Elapsed, cancellation).ConfigureAwait(false);
                }

                if (!partitions.TryGetValue(record.Topic, out var count))
                {
                    count = await admin.GetPartitionCountAsync(record.Topic).ConfigureAwait(false)
                        ?? throw new BadArgumentsException($"topic {record.Topic} does not exist on {request.Bootstrap}: create it, or start `analytics broker`");
                    partitions.Add(record.Topic, count);
                }

                await room.WaitAsync(cancellation).ConfigureAwait(false);
                var partition = record.Key is { } key ? Murmur2.Partition(key, count) : (int)(sent % count);
                sent++;
                producer.Send(new TopicPartition(record.Topic, partition), record.Key, record.Value, [], record.TimestampMs, outcome =>
                {
                    if (outcome.Result != SendResult.Sent)
                    {
                        Interlocked.Increment(ref failed);
                        failure ??= outcome.Error;
                    }

                    room.Release();
                });
            }
        }
        catch (OperationCanceledException)
        {
            // Ctrl-C: what is under way is finished below.
        }
        catch (ReplayDataException wrong)
        {
            throw new BadArgumentsException(wrong.Message);
        }

        var flushed = producer.Flush(TimeSpan.FromSeconds(30));
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"{sent - failed} records sent in {begun.Elapsed.TotalSeconds:0.0} s{(failed > 0 ? $", {failed} failed: {failure}" : "")}{(flushed ? "" : ", some not acknowledged")}")).ConfigureAwait(false);
        return failed == 0 && flushed ? Verbs.Done : Verbs.Failed;
    }
}
