using System.Text.Json;

namespace Analytics.Actors.Node.Bench.InProcess;

/// <summary>
/// What anybody would write first, with the framework alone: every token of a record is read, names are compared with those of
/// an order, texts and numbers are converted.
/// </summary>
internal static class PlainDecode
{
    /// <summary>One order into an object of its own; every member that is not known is read over.</summary>
    public static PlainOrder Order(ReadOnlySpan<byte> json)
    {
        var order = new PlainOrder();
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("stationId"u8)) order.StationId = Text(ref reader);
            else if (reader.ValueTextEquals("hostCode"u8)) order.HostCode = Text(ref reader);
            else if (reader.ValueTextEquals("transactionSerialNo"u8)) order.TransactionSerialNo = Text(ref reader);
            else if (reader.ValueTextEquals("gunNo"u8)) order.GunNo = Text(ref reader);
            else if (reader.ValueTextEquals("beginSOC"u8)) order.BeginSoc = Number(ref reader);
            else if (reader.ValueTextEquals("soc"u8)) order.Soc = Number(ref reader);
            else if (reader.ValueTextEquals("outputPower"u8)) order.OutputPower = Number(ref reader);
            else if (reader.ValueTextEquals("outputVoltage"u8)) order.OutputVoltage = Number(ref reader);
            else if (reader.ValueTextEquals("outputCurrent"u8)) order.OutputCurrent = Number(ref reader);
            else if (reader.ValueTextEquals("batteryNominalTotalCapacity"u8)) order.BatteryNominalTotalCapacity = Number(ref reader);
            else if (reader.ValueTextEquals("chargedEnergy"u8)) order.ChargedEnergy = Number(ref reader);
            else if (reader.ValueTextEquals("startChargeTime"u8)) order.StartChargeTime = Text(ref reader);
            else if (reader.ValueTextEquals("endChargeTime"u8)) order.EndChargeTime = Text(ref reader);
            else if (reader.ValueTextEquals("sendTime"u8)) order.SendTime = Text(ref reader);
            else reader.Skip();
        }

        return order;
    }

    /// <summary>Reads every token, and converts every number: the sum, so that nothing of it can be left out.</summary>
    public static double Numbers(ReadOnlySpan<byte> json)
    {
        var sum = 0.0;
        var reader = new Utf8JsonReader(json);
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.Number) sum += reader.GetDouble();
        }

        return sum;
    }

    private static string? Text(ref Utf8JsonReader reader)
    {
        reader.Read();
        return reader.GetString();
    }

    private static double Number(ref Utf8JsonReader reader)
    {
        reader.Read();
        return reader.GetDouble();
    }
}

/// <summary>An order as a class of fields.</summary>
internal sealed class PlainOrder
{
    public string? StationId { get; set; }
    public string? HostCode { get; set; }
    public string? TransactionSerialNo { get; set; }
    public string? GunNo { get; set; }
    public double BeginSoc { get; set; }
    public double Soc { get; set; }
    public double OutputPower { get; set; }
    public double OutputVoltage { get; set; }
    public double OutputCurrent { get; set; }
    public double BatteryNominalTotalCapacity { get; set; }
    public double ChargedEnergy { get; set; }
    public string? StartChargeTime { get; set; }
    public string? EndChargeTime { get; set; }
    public string? SendTime { get; set; }
}
