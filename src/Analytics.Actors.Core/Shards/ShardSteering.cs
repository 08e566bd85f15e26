using Analytics.Actors.Core.Nodes;
using Analytics.Actors.Core.Stations;

namespace Analytics.Actors.Core.Shards;

/// <summary>How a shard carries out an operator's orders for single stations.</summary>
public sealed partial class Shard
{
    /// <summary>An operator's order for one station; carried out when the station is in memory.</summary>
    internal void Steer(StationOrdered ordered, long nowMs)
    {
        if (residents.Find(ordered.Station) is { } station)
        {
            Steer(station, ordered, nowMs);
            return;
        }

        Orders.Await(ordered);
        residents.Load(ordered.Station);
    }

    private void Steer(Station station, StationOrdered ordered, long nowMs)
    {
        if (!station.IsCounted)
        {
            Orders.Refused(ordered, StationOrderOutcome.UnknownStation);
            return;
        }

        residents.Use(station, nowMs);
        if (ordered.Order == StationOrder.Resume) station.GoOn();
        else foreach (var (module, trigger) in station.GiveUp(ordered.Order, nowMs)) KeepPlace(station, module, trigger);
        if (ordered.Order == StationOrder.Forget)
        {
            station.IsCounted = false;
            StationCount--;
        }

        AfterStation(station);
        Orders.Made(ordered);
        Outputs.Raise(new StationSteered(Id, ordered.Number, ordered.Station, ordered.Order, ordered.By));
    }
}
