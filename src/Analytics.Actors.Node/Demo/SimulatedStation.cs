using System.Globalization;

namespace Analytics.Actors.Node.Demo;

/// <summary>One gun and the session on it, if a car is connected.</summary>
internal sealed class SimulatedGun(SimulatedStation station, int index, string host, double ratedKw)
{
    public SimulatedStation Station { get; } = station;
    public int Index { get; } = index;

    /// <summary>As stations write it: two digits.</summary>
    public string Number { get; } = (index + 1).ToString("00", CultureInfo.InvariantCulture);
    public string Host { get; } = host;
    public double RatedKw { get; } = ratedKw;
    public ChargingSession? Session { get; set; }

    /// <summary>When the next car comes, where none is connected.</summary>
    public long NextArrivalMs { get; set; }
}

/// <summary>
/// One car at one gun: full power to 80 %, then 40 % of it, until the driver's target is reached.
/// </summary>
internal sealed record ChargingSession(string Serial, long StartMs, double BeginSoc, double TargetSoc, double BatteryKwh, double PowerKw)
{
    private const double TaperSoc = 80;
    private const double TaperFactor = 0.4;

    public double SocAt(long nowMs)
    {
        var hours = (nowMs - StartMs) / 3_600_000.0;
        var percentPerHour = PowerKw / BatteryKwh * 100;
        var hoursToTaper = Math.Max(0, (TaperSoc - BeginSoc) / percentPerHour);
        var soc = hours <= hoursToTaper
            ? BeginSoc + hours * percentPerHour
            : Math.Max(BeginSoc, TaperSoc) + (hours - hoursToTaper) * percentPerHour * TaperFactor;
        return Math.Min(soc, TargetSoc);
    }

    public double PowerAt(double soc) => soc < TaperSoc ? PowerKw : PowerKw * TaperFactor;
}

/// <summary>What a station mostly is; it decides when its cars come.</summary>
internal enum StationCharacter { City, Residential, Highway }

/// <summary>
/// One station: what it is built of, and its load as a function of time. Past hours are a pure function of the seed, so
/// every push of the history tells the same story.
/// </summary>
internal sealed class SimulatedStation
{
    // Share of the installed power in use, by hour of the day.
    private static readonly double[] City =
        [.10, .07, .05, .05, .06, .10, .18, .30, .38, .42, .48, .60, .66, .58, .50, .46, .45, .52, .62, .70, .66, .52, .34, .20];

    private static readonly double[] Residential =
        [.55, .50, .42, .34, .26, .20, .18, .16, .14, .13, .14, .18, .22, .20, .18, .18, .22, .32, .44, .54, .60, .66, .68, .62];

    private static readonly double[] Highway =
        [.14, .11, .10, .10, .12, .16, .24, .34, .46, .58, .66, .72, .70, .66, .64, .62, .60, .56, .50, .42, .34, .28, .22, .18];

    private readonly ulong seed;
    private readonly TimeSpan timeZone;

    public SimulatedStation(FleetOptions options, int index, Random random)
    {
        Index = index;
        timeZone = options.TimeZone;
        seed = Noise.Mix((ulong)options.Seed * 0x9e3779b97f4a7c15 + (ulong)index);
        // Ids as platforms have them: many 19-digit integers (written as JSON numbers), short integers, text, and text
        // beyond ASCII.
        (IntegerId, Id) = (index % 8) switch
        {
            0 or 3 => (1_734_000_000_000_000_001L + index * 7_919_000_003L, ""),
            5 => (100_000L + index, ""),
            6 => (0L, string.Create(CultureInfo.InvariantCulture, $"深圳-{index:0000}")),
            _ => (0L, string.Create(CultureInfo.InvariantCulture, $"ST{index:00000}")),
        };
        if (IntegerId != 0) Id = IntegerId.ToString(CultureInfo.InvariantCulture);
        Alone = Expectation.Of(Id);

        Character = (StationCharacter)(index % 3);
        var hostCount = 1 + random.Next(2);
        Hosts = [.. Enumerable.Range(1, hostCount).Select(host => string.Create(CultureInfo.InvariantCulture, $"H{host}"))];
        ModulesPerHost = 3 + random.Next(4);
        var gunCount = hostCount * (1 + random.Next(3)) + random.Next(2);
        Guns = [.. Enumerable.Range(0, gunCount).Select(gun => new SimulatedGun(this, gun, Hosts[gun % hostCount], 60 + 30 * random.Next(4)))];
        InstalledKw = Guns.Sum(gun => gun.RatedKw);
        Storages = [.. Enumerable.Range(1, 1 + random.Next(2)).Select(storage => string.Create(CultureInfo.InvariantCulture, $"B{storage}"))];
        PvKw = 20 + random.Next(80);
        Longitude = Math.Round(113.8 + random.NextDouble() * 0.7, 6);
        Latitude = Math.Round(22.45 + random.NextDouble() * 0.4, 6);
        GridCapacityKw = Math.Round(InstalledKw * 0.9 / 10) * 10;
        MeterId = string.Create(CultureInfo.InvariantCulture, $"M{index:00000}");

        IsSilent = options.SilentEvery > 0 && index % options.SilentEvery == options.SilentEvery - 1;
        IsLate = !IsSilent && options.LateEvery > 0 && index % options.LateEvery == options.LateEvery - 2;
        SilentFromMs = !IsSilent && options.SilentEvery > 0 && index % options.SilentEvery == options.SilentEvery / 2
            ? options.StartMs + 12_000
            : long.MaxValue;
    }

    public int Index { get; }
    public string Id { get; }

    /// <summary>The id as the JSON number that this station writes; 0 where it writes text.</summary>
    public long IntegerId { get; }

    /// <summary>The expectation of every record that is about this station alone; shared, for most records are.</summary>
    public Expectation Alone { get; }
    public StationCharacter Character { get; }
    public IReadOnlyList<SimulatedGun> Guns { get; }
    public IReadOnlyList<string> Hosts { get; }
    public int ModulesPerHost { get; }
    public IReadOnlyList<string> Storages { get; }
    public double InstalledKw { get; }
    public double PvKw { get; }
    public double Longitude { get; }
    public double Latitude { get; }
    public double GridCapacityKw { get; }
    public string MeterId { get; }

    /// <summary>Never says anything.</summary>
    public bool IsSilent { get; }

    /// <summary>Starts late, and its timestamps lag by up to <see cref="LagMsMax"/>.</summary>
    public bool IsLate { get; }

    /// <summary>From here on it says nothing more.</summary>
    public long SilentFromMs { get; }

    /// <summary>Set by the fleet: before, it says nothing.</summary>
    public long TalksFromMs { get; set; }

    public const int LagMsMax = 6_000;

    public bool TalksAt(long nowMs) => !IsSilent && nowMs >= TalksFromMs && nowMs < SilentFromMs;

    /// <summary>Share of the installed power that is usual at this time: by hour of the day and day of the week.</summary>
    public double UsualLoad(long nowMs)
    {
        var local = LocalTime(nowMs);
        var table = Character switch { StationCharacter.City => City, StationCharacter.Residential => Residential, _ => Highway };
        var between = local.Minute / 60.0;
        var daily = table[local.Hour] * (1 - between) + table[(local.Hour + 1) % 24] * between;
        var isWeekend = local.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday;
        return isWeekend ? daily * (Character == StationCharacter.Highway ? 1.25 : 0.8) : daily;
    }

    /// <summary>Average and peak power of a gun in one hour since 1970, kW with one decimal.</summary>
    public (double Average, double Peak) HourOfGun(int gun, long hour, double usualLoad)
    {
        var noise = Noise.At(seed, (ulong)hour * 64 + (ulong)gun);
        var share = usualLoad * (0.35 + 1.3 * noise);
        if (share < 0.06) return (0, 0);
        var rated = Guns[gun].RatedKw;
        var average = Math.Round(Math.Min(0.95, share) * rated, 1);
        return (average, Math.Round(Math.Min(rated, average * (1.15 + 0.6 * (1 - noise)) + 3), 1));
    }

    /// <summary>A value of this station that wanders from 0 to 1 with time; each <paramref name="channel"/> on its own.</summary>
    public double Wander(long nowMs, int channel, long stepMs = 4_000)
    {
        var step = nowMs / stepMs;
        var between = nowMs % stepMs / (double)stepMs;
        var key = (ulong)channel << 48;
        return Noise.At(seed, key + (ulong)step) * (1 - between) + Noise.At(seed, key + (ulong)step + 1) * between;
    }

    /// <summary>PV power now, kW: a bell over the day, under passing clouds.</summary>
    public double PvPower(long nowMs)
    {
        var local = LocalTime(nowMs);
        var sun = Math.Sin(Math.PI * (local.Hour + local.Minute / 60.0 - 6) / 12.5);
        return sun <= 0 ? 0 : Math.Round(PvKw * sun * (0.55 + 0.45 * Wander(nowMs, 9, 600_000)), 1);
    }

    public DateTime LocalTime(long nowMs) => DateTime.UnixEpoch.AddMilliseconds(nowMs).Add(timeZone);
}

/// <summary>Repeatable noise: a hash of a seed and a key.</summary>
internal static class Noise
{
    public static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }

    /// <summary>0.0 to 1.0.</summary>
    public static double At(ulong seed, ulong key) => (Mix(seed ^ Mix(key + 0x9e3779b97f4a7c15)) >> 11) * (1.0 / (1UL << 53));
}
