using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Tests.Pipeline;

/// <summary>cluster-config/pipeline.json says what the tables of the contract say: every topic and every module.</summary>
public class DefaultPipelineTests
{
    private const string Param = "SCHEDULE-STATION-PARAM", Realtime = "SCHEDULE-STATION-REALTIME-DATA", Calendar = "SCHEDULE-ENVIRONMENT-CALENDAR",
        Weather = "SCHEDULE-ENVIRONMENT-WEATHER", Meter = "SCHEDULE-DEVICE-METER", Gun = "SCHEDULE-DEVICE-GUN", Error = "SCHEDULE-DEVICE-ERROR",
        Dcdc = "SCHEDULE-DEVICE-HOST-DCDC", Acdc = "SCHEDULE-DEVICE-HOST-ACDC", Storage = "SCHEDULE-DEVICE-STORAGE", Pv = "SCHEDULE-DEVICE-PV",
        Order = "SCHEDULE-CAR-ORDER", Price = "SCHEDULE-CAR-PRICE";

    private const long Hour = 3_600_000, Day = 24 * Hour;
    private readonly PipelineConfiguration pipeline = PipelineFiles.DefaultConfiguration();

    [Fact]
    public void Config_check_accepts_it()
    {
        var run = PipelineFiles.CheckFile(PipelineFiles.Default);
        run.ExitCode.ShouldBe(0);
        run.Error.ShouldBeEmpty();
        run.Output.ShouldContain("22 topics, 9 modules (3 enabled)");
    }

    [Fact]
    public void The_topics_are_the_declared_ones_and_then_the_outputs_in_order()
    {
        pipeline.TimeZone.ShouldBe(TimeSpan.FromHours(8));
        pipeline.Topics.Keys.ShouldBe([
            Param, Realtime, Calendar, Weather, Meter, Gun, Error, Dcdc, Acdc, Storage, Pv, Order, Price,
            .. pipeline.Modules.Keys.Select(module => $"MODULE-OUTPUT-{module.ToUpperInvariant()}"),
        ]);
        pipeline.Topics.ShouldAllBe(pair => pair.Key == pair.Value.Name);
        foreach (var topic in pipeline.Topics.Values)
        {
            topic.Keyed.ShouldBeFalse();
            topic.Scope.ShouldBe(topic.Name == Calendar ? TopicScope.Global : TopicScope.Station);
            topic.Triggers.ShouldBe(topic.Name != Calendar);
            topic.Start.ShouldBe(new StartPosition(StartKind.Latest));
            topic.OutOfRange.ShouldBe(new OutOfRangePolicy(OutOfRangeKind.Stop));
            topic.StationPaths.ShouldBe(topic.OutputOf is null ? ["stationId", "station_id"] : ["station_id", "stationId"]);
        }
    }

    [Theory]
    [InlineData(Param, "List", UpdateMode.Append, 1, null, ShapeKind.Fields, null, AbsentFields.Omit, null)]
    [InlineData(Realtime, "Member realTimeData", UpdateMode.Replace, 168, "sendTime", ShapeKind.Grid, null, AbsentFields.Omit, 35 * Day)]
    [InlineData(Calendar, "Member calendar", UpdateMode.Append, 1, null, ShapeKind.Columns, null, AbsentFields.Omit, null)]
    [InlineData(Weather, "Member weather", UpdateMode.Append, 1, null, ShapeKind.Fields, null, AbsentFields.Omit, 3 * Day)]
    [InlineData(Meter, "Object", UpdateMode.Append, 1, null, ShapeKind.Fields, null, AbsentFields.Null, Hour)]
    [InlineData(Gun, "Object", UpdateMode.Append, 1, "sendTime", ShapeKind.Aligned, null, AbsentFields.Omit, 600_000L)]
    [InlineData(Error, "Object", UpdateMode.Append, 1, null, ShapeKind.Fields, null, AbsentFields.Null, null)]
    [InlineData(Dcdc, "Object", UpdateMode.Device, 1, null, ShapeKind.Devices, "device_host_dcdc", AbsentFields.Omit, 600_000L)]
    [InlineData(Acdc, "Object", UpdateMode.Device, 1, null, ShapeKind.Devices, "device_host_acdc", AbsentFields.Omit, 600_000L)]
    [InlineData(Storage, "Object", UpdateMode.Device, 1, null, ShapeKind.Devices, "device_storage", AbsentFields.Omit, 600_000L)]
    [InlineData(Pv, "Member photovoltaicMessage, Object", UpdateMode.Append, 1, null, ShapeKind.Fields, null, AbsentFields.Omit, 3 * Day)]
    [InlineData(Order, "Object, List", UpdateMode.Second, 2, null, ShapeKind.Orders, "car_order", AbsentFields.Omit, Hour)]
    [InlineData(Price, "Member fee", UpdateMode.Append, 1, null, ShapeKind.Tariff, "car_price", AbsentFields.Omit, null)]
    [InlineData("MODULE-OUTPUT-PV_PREDICTION", "Member stations, Member results, Output", UpdateMode.Append, 1, null, ShapeKind.Flat, null, AbsentFields.Omit, null)]
    public void A_topic_is_as_the_table_says(
        string name, string envelope, UpdateMode mode, int window, string? time, ShapeKind shape, string? shapeMember, AbsentFields absent, long? ttlMs)
    {
        var topic = pipeline.Topics[name];
        string.Join(", ", topic.Envelope.Select(form => $"{form.Kind} {form.Member}".Trim())).ShouldBe(envelope);
        topic.Mode.ShouldBe(mode);
        topic.Window.ShouldBe(window);
        topic.TimeMember.ShouldBe(time);
        topic.Shape.ShouldBe(shape);
        topic.ShapeMember.ShouldBe(shapeMember);
        topic.Absent.ShouldBe(absent);
        topic.TtlMs.ShouldBe(ttlMs);
    }

    [Theory]
    [InlineData(Param, "stationId stationLng stationLat gunNum gridCapacity meterId powerNum normalCap normalClap hostCode")]
    [InlineData(Calendar, "date isHoliday isWeekend")]
    [InlineData(Weather, "stationId weatherSituationYesterday seasonTomorrow weatherSituationTomorrow")]
    [InlineData(Meter, "meterId meterPower rmeterLimitPower")]
    [InlineData(Error, "stationId hostError acError dcError terminalError storageError")]
    [InlineData(Dcdc, "hostCode moduleIndex dcWorkStatus dcPower")]
    [InlineData(Acdc, "hostCode acPower")]
    [InlineData(Storage, "")]
    [InlineData(Pv, "stationId pvId pvPreDcPower")]
    [InlineData(Order, "")]
    [InlineData(Price, "stationId startTime endTime ebbElectricFee ebbServerFee flatElectricFee flatServerFee peakElectricFee peakServerFee sharpElectricFee sharpServerFee otherElectricFee otherServerFee")]
    public void A_topics_fields_are_as_the_table_says(string name, string fields) =>
        string.Join(' ', pipeline.Topics[name].Fields.Select(field => field.Name)).ShouldBe(fields);

    [Fact]
    public void Renamed_computed_and_defaulted_fields()
    {
        var dcdc = pipeline.Topics[Dcdc];
        dcdc.DeviceMember.ShouldBe("hostCode");
        dcdc.Fields.Single(field => field.Name == "dcPower").Source.ShouldBe("dcdcPower");
        dcdc.Fields.Single(field => field.Name == "moduleIndex").IndexOf.ShouldBe("dcWorkStatus");
        pipeline.Topics[Acdc].DeviceMember.ShouldBe("hostCode");
        pipeline.Topics[Storage].DeviceMember.ShouldBe("storageCode");
        pipeline.Topics[Price].OrderMember.ShouldBe("sendTime");
        pipeline.Topics.Values.SelectMany(topic => topic.Fields).Where(field => field.Type != FieldType.Any).Select(field => (field.Name, field.Type)).ShouldBe(
            [("meterPower", FieldType.Number), ("rmeterLimitPower", FieldType.Number), ("dcPower", FieldType.List), ("acPower", FieldType.Number)]);
        pipeline.Topics[Calendar].ColumnsMember.ShouldBe("calendar");
        pipeline.Topics[Calendar].Fields.Select(field => field.Default).ShouldBe(["\"\"", "0", "0"]);
    }

    [Fact]
    public void The_grid_the_aligned_lists_and_the_tariff()
    {
        var realtime = pipeline.Topics[Realtime];
        realtime.PeriodMs.ShouldBe(Hour);
        realtime.Align.ShouldBe(GridAlignment.Period);
        realtime.Fill.ShouldBe(FillStrategy.Zero);
        var grid = realtime.Grid.ShouldNotBeNull();
        (grid.Keys, grid.KeysName, grid.TimesName).ShouldBe(("gunPower.gunNo", "gunNo", "sendTime"));
        grid.KeyedSeries.ShouldBe([
            new FieldSelection("gunPower.outputPowerPerGunAvg", "outputPowerPerGunAvg"), new FieldSelection("gunPower.outputPowerPerGunMax", "outputPowerPerGunMax"),
        ]);
        grid.RowSeries.Select(field => field.Name).ShouldBe(["outputPowerPerStationAvg", "outputPowerPerStationMax"]);

        var gun = pipeline.Topics[Gun].Aligned.ShouldNotBeNull();
        (gun.Keys, gun.KeysName, gun.TimesName).ShouldBe(("gunNo", "gunNo", "sendTime"));
        gun.Series.ShouldBe([new FieldSelection("hostCode", "hostCode") { Default = "\"\"" }, new FieldSelection("status", "status") { Default = "\"unknown\"" }]);

        pipeline.Topics[Price].Tariff.ShouldBe(new TariffConfiguration("feeNo", "feeNo", 48));
    }

    [Theory]
    [InlineData("load_prediction", true, new[] { Param, Realtime, Calendar }, new string[0], null)]
    [InlineData("pv_prediction", false, new[] { Pv, Weather }, new string[0], null)]
    [InlineData("SOH_model", false, new[] { Param, Realtime, Calendar, Error }, new string[0], new[] { Param, Realtime })]
    [InlineData("evaluation_model", true, new[] { Param, Realtime, Order, Price, Dcdc, Acdc, Storage }, new string[0], new[] { Param, Realtime })]
    [InlineData("operation_optimization", false, new[] { Param, Order, Price, Dcdc, Storage }, new[] { "load_prediction", "pv_prediction" }, null)]
    [InlineData("electricity_price", false, new[] { Param, Realtime, Calendar, Meter, Order, Price, Storage }, new[] { "pv_prediction", "evaluation_model", "SOH_model" }, null)]
    [InlineData("station_guidance", true, new[] { Order }, new[] { "load_prediction", "evaluation_model" }, null)]
    [InlineData("thermal_management", false, new[] { Realtime, Price, Dcdc, Acdc, Storage }, new[] { "load_prediction", "operation_optimization" }, null)]
    [InlineData("customer_mining", false, new[] { Order, Param }, new string[0], null)]
    public void A_module_is_as_the_table_says(string name, bool enabled, string[] topics, string[] dependsOn, string[]? requires)
    {
        var module = pipeline.Modules[name];
        string[] merged = [.. topics, .. dependsOn.Select(dependency => $"MODULE-OUTPUT-{dependency.ToUpperInvariant()}")];
        module.Name.ShouldBe(name);
        module.Enabled.ShouldBe(enabled);
        module.Topics.ShouldBe(merged);
        module.DependsOn.ShouldBe(dependsOn);
        module.RequiresAny.ShouldBeFalse();
        module.RequiredTopics.ShouldBe(requires ?? merged);
        module.OutputTopic.ShouldBe($"MODULE-OUTPUT-{name.ToUpperInvariant()}");
        pipeline.Topics[module.OutputTopic].OutputOf.ShouldBe(name);

        (module.OnIncomplete, module.IncompleteDelayMs).ShouldBe((IncompletePolicy.Call, 2_000));
        (module.TriggerOnEvent, module.IntervalMs, module.Coalesce).ShouldBe((true, null, CoalescePolicy.Every));
        (module.CallTimeoutMs, module.Retries, module.Pool, module.UploadFormat).ShouldBe((30_000, 2, "default", UploadFormat.Current));
        (module.Batch.Kind, module.Batch.DeadlineMs, module.Batch.CompleteAt ?? 1.0, module.Batch.RetentionMs).ShouldBe((BatchKind.Record, 5_000, 1.0, 600_000));
    }

    [Fact]
    public void Assumed_codes_are_labelled_so()
    {
        pipeline.CodeTables.Keys.ShouldBe(["tariffKinds", "workStates"]);
        pipeline.CodeTables["tariffKinds"].Keys.ShouldBe(["00", "01", "02", "03", "04"]);
        // Each kind is the start of a pair of fee members; a module finds the price by it.
        var fees = pipeline.Topics[Price].Fields.Select(field => field.Name).ToList();
        pipeline.CodeTables["tariffKinds"].Values.ShouldAllBe(kind => fees.Contains($"{kind}ElectricFee") && fees.Contains($"{kind}ServerFee"));
        File.ReadAllText(PipelineFiles.Default).Split('\n').Count(line => line.Contains("// ASSUMED")).ShouldBe(pipeline.CodeTables.Count);
    }

    [Fact]
    public void Every_key_is_explained_where_it_first_appears()
    {
        var seen = new HashSet<string>();
        var lines = File.ReadAllLines(PipelineFiles.Default);
        var explained = false;
        var depth = 0;
        foreach (var line in lines.Select(line => line.Trim()))
        {
            if (line.StartsWith("//", StringComparison.Ordinal))
            {
                explained = true;
                continue;
            }

            // A comment covers the keys up to the next blank line or closing brace; names of topics, modules and codes are no keys.
            foreach (System.Text.RegularExpressions.Match key in System.Text.RegularExpressions.Regex.Matches(line, "\"([a-zA-Z]+)\":"))
            {
                if (seen.Add(key.Groups[1].Value)) explained.ShouldBeTrue(line);
            }

            depth += line.Count(c => c == '{') - line.Count(c => c == '}');
            if (line.Length == 0 || line is "}," or "}") explained = false;
        }

        depth.ShouldBe(0);
        seen.Count.ShouldBeGreaterThan(50);
    }
}
