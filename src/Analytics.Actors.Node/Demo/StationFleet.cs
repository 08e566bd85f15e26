using System.Globalization;

namespace Analytics.Actors.Node.Demo;

/// <summary>
/// A fleet of charging stations that behave like stations, and say so in records. Deterministic: the seed and the start
/// decide every byte, however often and in whatever steps the caller asks; the clock is the caller's. First a burst tells
/// of every station what the modules need, then the records flow at the rate asked for, with a bad one now and then.
/// Not safe for concurrent use.
/// </summary>
public sealed class StationFleet : IDisposable
{
    // Of a thousand records; what remains to a thousand comes on the fleet's own schedule.
    private static readonly (string Topic, int Share)[] Mix =
    [
        (ScheduleTopics.CarOrder, 600), (ScheduleTopics.HostDcdc, 300),
        (ScheduleTopics.Storage, 25), (ScheduleTopics.HostAcdc, 20), (ScheduleTopics.Gun, 20), (ScheduleTopics.Pv, 10),
        (ScheduleTopics.Meter, 21), (ScheduleTopics.Error, 4),
    ];

    private const long LateStationsWaitMs = 4_000;

    private readonly FleetOptions options;
    private readonly SimulatedStation[] stations;
    private readonly SimulatedGun[] guns;
    private readonly Random random;
    private readonly PayloadWriter payloads = new();
    private readonly BadRecords badRecords;
    private readonly PriorityQueue<ScheduledRecord, (long DueMs, long Sequence)> schedule = new();
    private readonly int[] owed = new int[Mix.Length];
    private readonly int[] stationCursors = new int[Mix.Length];
    private readonly long flowFromMs;
    private long scheduled, flowed, sessions, orders, badOnes, pvRecords, lastDueMs;
    private int gunCursor, badCursor;

    /// <param name="options">See <see cref="FleetOptions"/>.</param>
    public StationFleet(FleetOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Stations, 1);
        this.options = options;
        random = new Random(options.Seed);
        stations = [.. Enumerable.Range(0, options.Stations).Select(index => new SimulatedStation(options, index, random))];
        badRecords = new BadRecords(payloads, options);
        // A car connects to every station's first gun, so that each has orders from the start; the others as usual.
        guns = [.. stations.Where(station => !station.IsSilent).SelectMany(station => station.Guns)];
        foreach (var gun in guns)
        {
            if (gun.Index == 0 || random.NextDouble() < gun.Station.UsualLoad(options.StartMs))
                Connect(gun, options.StartMs - random.Next(40 * 60_000), mustLast: gun.Index == 0);
            else
                Await(gun, options.StartMs);
        }

        random.Shuffle(guns);
        flowFromMs = ScheduleBurst() + 500;
        lastDueMs = options.StartMs;
        if (options.BadRecordEveryMs > 0) Schedule(options.StartMs + options.BadRecordEveryMs, options.BadRecordEveryMs, NextBadRecord);
    }

    public int StationCount => stations.Length;

    /// <summary>The ids of all stations that say anything.</summary>
    public IEnumerable<string> TalkingStations => stations.Where(station => !station.IsSilent).Select(station => station.Id);

    /// <summary>When the burst is over and the flow begins.</summary>
    public long FlowFromMs => flowFromMs;

    /// <summary>
    /// The records due up to <paramref name="nowMs"/> that were not given yet, at most <paramref name="count"/>, made one by
    /// one as they are taken. Without a rate there is no end but the count.
    /// </summary>
    public IEnumerable<DemoRecord> Next(long nowMs, int count = int.MaxValue)
    {
        for (var given = 0; given < count;)
        {
            var flowDueMs = FlowDueMs(nowMs);
            DemoRecord? record;
            if (schedule.TryPeek(out var next, out var key) && key.DueMs <= flowDueMs)
            {
                if (key.DueMs > nowMs) yield break;
                schedule.Dequeue();
                lastDueMs = Math.Max(lastDueMs, key.DueMs);
                record = next.Make(key.DueMs);
                if (next.PeriodMs > 0) Schedule(key.DueMs + next.PeriodMs, next.PeriodMs, next.Make);
            }
            else
            {
                if (flowDueMs > nowMs) yield break;
                flowed++;
                lastDueMs = Math.Max(lastDueMs, flowDueMs);
                record = NextOfFlow(flowDueMs);
            }

            if (record is null) continue;
            given++;
            yield return record;
        }
    }

    public void Dispose() => payloads.Dispose();

    private sealed record ScheduledRecord(long PeriodMs, Func<long, DemoRecord?> Make);

    private void Schedule(long dueMs, long periodMs, Func<long, DemoRecord?> make) =>
        schedule.Enqueue(new ScheduledRecord(periodMs, make), (dueMs, scheduled++));

    private long FlowDueMs(long nowMs) => options.RecordsPerSecond > 0
        ? flowFromMs + (long)(flowed * 1000 / options.RecordsPerSecond)
        : Math.Max(flowFromMs, Math.Max(lastDueMs, nowMs));

    // Calendar, parameters, tariffs, weather, then the history, in that order: all that most modules wait for.
    private long ScheduleBurst()
    {
        var punctual = stations.Where(station => station is { IsSilent: false, IsLate: false }).ToArray();
        var late = stations.Where(station => station.IsLate).ToArray();
        foreach (var station in punctual) station.TalksFromMs = options.StartMs;
        foreach (var station in late) station.TalksFromMs = options.StartMs + LateStationsWaitMs;
        Schedule(options.StartMs, options.SlowTopicsEveryMs, due =>
            new DemoRecord(ScheduleTopics.Calendar, null, due, payloads.Calendar(stations[0].LocalTime(due)), Expectation.Global));
        ScheduleBurst(late, options.StartMs + LateStationsWaitMs);
        return ScheduleBurst(punctual, options.StartMs);
    }

    private long ScheduleBurst(SimulatedStation[] members, long fromMs)
    {
        var dueMs = fromMs;
        foreach (var group in members.Chunk(options.StationsPerList))
        {
            Schedule(dueMs, options.SlowTopicsEveryMs, due => List(ScheduleTopics.StationParam, group, due, null, payloads.Param));
            Schedule(dueMs, options.SlowTopicsEveryMs, due => List(ScheduleTopics.CarPrice, group, due, "fee", payloads.Price));
            Schedule(dueMs, options.SlowTopicsEveryMs, due => List(ScheduleTopics.Weather, group, due, "weather", payloads.Weather));
            dueMs += 1 + group.Length * 2_000L * 1000 / options.BurstBytesPerSecond;
        }

        // The first push comes in the burst; the following ones spread over the period.
        var groups = RealtimeGroups(members).ToArray();
        for (var index = 0; index < groups.Length; index++)
        {
            var group = groups[index];
            Schedule(dueMs, 0, due => Realtime(group, due));
            var again = dueMs + options.RealtimePushEveryMs * (index + 1) / groups.Length;
            Schedule(again, options.RealtimePushEveryMs, due => Realtime(group, due));
            dueMs += 1 + group.Sum(RealtimeBytes) * 1000 / options.BurstBytesPerSecond;
        }

        return dueMs;
    }

    private IEnumerable<SimulatedStation[]> RealtimeGroups(SimulatedStation[] members)
    {
        var group = new List<SimulatedStation>();
        var bytes = 0L;
        foreach (var station in members)
        {
            var more = RealtimeBytes(station);
            if (group.Count > 0 && (bytes + more > options.RealtimeRecordBytesMax || group.Count == options.StationsPerList))
            {
                yield return [.. group];
                group.Clear();
                bytes = 0;
            }

            group.Add(station);
            bytes += more;
        }

        if (group.Count > 0) yield return [.. group];
    }

    // An upper bound: the row's fixed members, and per gun its number and two powers.
    private long RealtimeBytes(SimulatedStation station) => options.HistoryHours * (250L + station.Guns.Count * 19L);

    private static SimulatedStation[] Talking(SimulatedStation[] group, long nowMs) =>
        Array.TrueForAll(group, station => station.TalksAt(nowMs)) ? group : [.. group.Where(station => station.TalksAt(nowMs))];

    private DemoRecord? List(string topic, SimulatedStation[] group, long dueMs, string? member, Action<SimulatedStation, long> write)
    {
        var talking = Talking(group, dueMs);
        return talking.Length == 0 ? null : new DemoRecord(topic, null, dueMs, payloads.List(talking, dueMs, member, write), OneItemEach(talking, 1));
    }

    private DemoRecord? Realtime(SimulatedStation[] group, long dueMs)
    {
        var talking = Talking(group, dueMs);
        if (talking.Length == 0) return null;
        payloads.BeginList("realTimeData");
        foreach (var station in talking) payloads.Realtime(station, dueMs, options.HistoryHours);
        payloads.EndList("realTimeData");
        return new DemoRecord(ScheduleTopics.RealtimeData, null, dueMs, payloads.Take(), OneItemEach(talking, options.HistoryHours));
    }

    private static Expectation OneItemEach(SimulatedStation[] group, int itemsEach) => group.Length == 1
        ? group[0].Alone
        : new Expectation { Parts = [.. group.Select((station, position) => new ExpectedPart(station.Id, position * itemsEach))] };

    private DemoRecord? NextBadRecord(long dueMs)
    {
        var first = NextTalking(ref badCursor, dueMs);
        var second = NextTalking(ref badCursor, dueMs);
        // With one station there is no second one to be a good neighbour: such kinds are left out.
        var kind = BadRecords.KindOf((int)badOnes++);
        if (first is null || second is null || (first == second && kind is BadRecordKind.MissingId or BadRecordKind.NullId or BadRecordKind.BooleanId or BadRecordKind.ItemNotObject)) return null;
        return badRecords.Make(kind, first, second, dueMs);
    }

    private SimulatedStation? NextTalking(ref int cursor, long nowMs)
    {
        for (var tried = 0; tried < stations.Length; tried++)
        {
            var station = stations[cursor++ % stations.Length];
            if (cursor >= stations.Length) cursor = 0;
            if (station.TalksAt(nowMs)) return station;
        }

        return null;
    }

    // The topic that is owed most comes next: the mix holds over any stretch, not only on average.
    private DemoRecord? NextOfFlow(long dueMs)
    {
        var most = 0;
        for (var topic = 0; topic < Mix.Length; topic++)
        {
            owed[topic] += Mix[topic].Share;
            if (owed[topic] > owed[most]) most = topic;
        }

        // At first each topic comes once, so that a slow demo shows them all.
        if (flowed <= Mix.Length) most = (int)flowed - 1;
        owed[most] -= 1_000;
        if (Mix[most].Topic == ScheduleTopics.CarOrder) return NextOrder(dueMs);
        var station = NextTalking(ref stationCursors[most], dueMs);
        return station is null ? null : Device(Mix[most].Topic, station, dueMs);
    }

    private DemoRecord Device(string topic, SimulatedStation station, long dueMs)
    {
        // A device is chosen by noise, so that every one of a station reports.
        var choice = random.Next(1 << 20);
        switch (topic)
        {
            case ScheduleTopics.HostDcdc:
                payloads.Dcdc(station, choice % station.Hosts.Count, dueMs);
                break;
            case ScheduleTopics.HostAcdc:
                payloads.Acdc(station, choice % station.Hosts.Count, dueMs);
                break;
            case ScheduleTopics.Storage:
                payloads.Storage(station, choice % station.Storages.Count, dueMs);
                break;
            case ScheduleTopics.Gun:
                payloads.Gun(station, dueMs);
                break;
            case ScheduleTopics.Meter:
                payloads.Meter(station, dueMs);
                break;
            case ScheduleTopics.Error:
                payloads.Error(station, dueMs);
                break;
            case ScheduleTopics.Pv when pvRecords++ % 4 == 3:
                // The newer form: a gateway tells of several stations in one record.
                var group = stations.Skip(station.Index).Take(options.StationsPerList).Where(one => one.TalksAt(dueMs)).ToArray();
                return new DemoRecord(topic, null, dueMs, payloads.List(group, dueMs, "photovoltaicMessage", payloads.Pv), OneItemEach(group, 1));
            default:
                payloads.Pv(station, dueMs);
                break;
        }

        return new DemoRecord(topic, station.Id, Timestamp(station, dueMs), payloads.Take(), station.Alone);
    }

    private long Timestamp(SimulatedStation station, long dueMs) =>
        station.IsLate ? dueMs - random.Next(SimulatedStation.LagMsMax) : dueMs;

    private DemoRecord? NextOrder(long dueMs)
    {
        var gun = NextCharging(dueMs);
        if (gun is null) return null;
        if (orders++ % 10 != 9)
        {
            Order(gun, dueMs);
            return new DemoRecord(ScheduleTopics.CarOrder, gun.Station.Id, Timestamp(gun.Station, dueMs), payloads.Take(), gun.Station.Alone);
        }

        // A gateway sends several orders as a list; a station may be in it with more than one gun.
        var parts = new List<ExpectedPart>();
        var count = 2 + random.Next(options.StationsPerList - 1);
        payloads.BeginList(null);
        var index = 0;
        for (; index < count && gun is not null; index++)
        {
            Order(gun, dueMs);
            var id = gun.Station.Id;
            if (!parts.Exists(part => part.Station == id)) parts.Add(new ExpectedPart(id, index));
            gun = NextCharging(dueMs);
        }

        payloads.EndList(null);
        return new DemoRecord(ScheduleTopics.CarOrder, null, dueMs, payloads.Take(), new Expectation { Parts = parts });
    }

    private SimulatedGun? NextCharging(long nowMs)
    {
        SimulatedGun? idle = null;
        for (var tried = 0; tried < guns.Length; tried++)
        {
            var gun = guns[gunCursor];
            gunCursor = (gunCursor + 1) % guns.Length;
            if (!gun.Station.TalksAt(nowMs)) continue;
            if (gun.Session is null && nowMs >= gun.NextArrivalMs) Connect(gun, nowMs, mustLast: false);
            if (gun.Session is not null) return gun;
            idle ??= gun;
        }

        // Nobody charges anywhere: a car comes, for the fleet shall have something to say.
        if (idle is not null) Connect(idle, nowMs, mustLast: false);
        return idle;
    }

    private void Order(SimulatedGun gun, long nowMs)
    {
        var session = gun.Session!;
        var soc = session.SocAt(nowMs);
        var ended = soc >= session.TargetSoc;
        payloads.Order(gun, session, soc, ended, nowMs);
        if (!ended) return;
        gun.Session = null;
        Await(gun, nowMs);
    }

    private void Connect(SimulatedGun gun, long startMs, bool mustLast)
    {
        var serial = string.Create(CultureInfo.InvariantCulture, $"{gun.Station.LocalTime(startMs):yyyyMMddHHmmss}{gun.Station.Index:00000}{gun.Number}{sessions++:000000}");
        var battery = 40 + 5 * random.Next(13);
        var begin = 10 + random.Next(45);
        // A car that is to be there all through the demo is a slow one with far to go.
        gun.Session = mustLast
            ? new ChargingSession(serial, startMs, 10, 100, 100, 30)
            : new ChargingSession(serial, startMs, begin, Math.Min(100, begin + 25 + random.Next(40)), battery, gun.RatedKw * (0.5 + 0.5 * random.NextDouble()));
    }

    // The busier the hour, the sooner the next car.
    private void Await(SimulatedGun gun, long nowMs)
    {
        var meanMs = 20 * 60_000 / Math.Max(0.05, gun.Station.UsualLoad(nowMs));
        gun.NextArrivalMs = nowMs + (long)(-Math.Log(1 - random.NextDouble()) * meanMs);
    }
}
