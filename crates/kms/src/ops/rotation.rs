//! `EnableKeyRotation`, `DisableKeyRotation`, `GetKeyRotationStatus`,
//! `RotateKeyOnDemand` and `ListKeyRotations`. Rotation by itself is
//! [`crate::jobs::rotation`].

use std::sync::Arc;

use ::store::StoreError;
use gate::{Cx, Permit};
use kms_api::{
    DisableKeyRotationInput, EnableKeyRotationInput, ExpirationModelType, GetKeyRotationStatusInput,
    GetKeyRotationStatusOutput, ImportState, IncludeKeyMaterial, KeyMaterialState, ListKeyRotationsInput,
    ListKeyRotationsOutput, RotateKeyOnDemandInput, RotateKeyOnDemandOutput, RotationType,
    RotationsListEntry,
};
use shape::Unit;

use crate::announce::{Happened, announce};
use crate::error::Error;
use crate::limits::{ON_DEMAND_ROTATIONS_MAX, ROTATIONS_PAGE};
use crate::model::generation::{Generation, RotationKind, RotationPeriod, Schedule};
use crate::model::{Demand, Family, Key, KeyState, MaterialId, Origin};
use crate::ops::create_key::make;
use crate::ops::page;
use crate::{Kms, access, store};

const LIST: &str = "ListKeyRotations";

/// Lets a key rotate by itself, the first time a whole period from now. Asked
/// again, the time counts anew.
///
/// # Errors
///
/// [`Error::BadPeriod`]; [`Error::CannotRotate`] for keys that never do;
/// [`Error::State`] unless the key is enabled.
pub async fn enable_key_rotation(_kms: &Kms, cx: &Cx, input: EnableKeyRotationInput) -> Result<Unit, Error> {
    let period = RotationPeriod::new(input.rotation_period_in_days)?;
    let key = store::key(cx, &input.key_id).await?;

    let days = i64::from(period.days());
    let key = access::key(cx, key)
        .with("kms:rotationperiodindays", Some(days))
        .permit()
        .await?;
    schedule(cx, &key, Some(Schedule::from(cx.now(), period))).await
}

/// Keeps a key from rotating by itself.
///
/// # Errors
///
/// As [`enable_key_rotation`].
pub async fn disable_key_rotation(
    _kms: &Kms,
    cx: &Cx,
    input: DisableKeyRotationInput,
) -> Result<Unit, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    schedule(cx, &key, None).await
}

async fn schedule(cx: &Cx, key: &Permit<Arc<Key>>, schedule: Option<Schedule>) -> Result<Unit, Error> {
    key.check_rotates_by_itself()?;
    key.check(Demand::Rotate)?;
    let after = Key {
        schedule,
        ..Key::clone(key)
    };
    cx.write(async |tx| {
        store::update_key(tx, key, &after);
        store::tell_related(tx, &after, |related| {
            related.follow(&after);
            Ok(())
        })
        .await
    })
    .await
    .map_err(Error::Store)?;
    Ok(Unit)
}

/// Tells whether and when a key rotates by itself. One that waits for its
/// deletion does not.
///
/// # Errors
///
/// [`Error::InCustomKeyStore`] of a key that never could; [`Error::KeyNotFound`]
/// and its kin, [`Error::Denied`].
pub async fn get_key_rotation_status(
    _kms: &Kms,
    cx: &Cx,
    input: GetKeyRotationStatusInput,
) -> Result<GetKeyRotationStatusOutput, Error> {
    let key = store::shared_key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    key.check_kept_here("GetKeyRotationStatus")?;
    let is_ending = matches!(
        key.state,
        KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion { .. }
    );
    let schedule = key.schedule.filter(|_| !is_ending);
    let period = schedule.and_then(|schedule| i32::try_from(schedule.period.days()).ok());
    Ok(GetKeyRotationStatusOutput {
        key_rotation_enabled: Some(schedule.is_some()),
        key_id: Some(key.id.to_string()),
        rotation_period_in_days: period,
        next_rotation_date: schedule.map(|schedule| schedule.next),
        // A rotation that was asked for is made at once.
        on_demand_rotation_start_date: None,
    })
}

/// Gives a key new material at once. What was encrypted before still opens.
///
/// # Errors
///
/// [`Error::CannotRotate`], [`Error::TooManyRotations`]; [`Error::State`]
/// unless the key is enabled.
pub async fn rotate_key_on_demand(
    kms: &Kms,
    cx: &Cx,
    input: RotateKeyOnDemandInput,
) -> Result<RotateKeyOnDemandOutput, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    key.check_rotates()?;
    key.check(Demand::Rotate)?;
    if key.rotations(RotationKind::OnDemand) >= ON_DEMAND_ROTATIONS_MAX {
        return Err(Error::TooManyRotations { arn: key.arn() });
    }
    match key.origin {
        Origin::AwsKms => rotate_to_new(kms, cx, &key).await?,
        Origin::External => rotate_to_imported(cx, &key).await?,
        Origin::AwsCloudhsm | Origin::ExternalKeyStore => {
            return Err(Error::CannotRotate { arn: key.arn() });
        }
    }
    // The id and no ARN, as AWS's examples of both operations show it.
    Ok(RotateKeyOnDemandOutput {
        key_id: Some(key.id.to_string()),
    })
}

/// What is announced of a rotation that was asked for.
fn on_demand<'a>(before: &'a Key, after: &'a Key) -> Happened<'a> {
    Happened::Rotated {
        kind: RotationKind::OnDemand,
        previous: &before.material,
        current: &after.material,
    }
}

/// Rotates a key, and its related keys with it, to material made here.
async fn rotate_to_new(kms: &Kms, cx: &Cx, key: &Permit<Arc<Key>>) -> Result<(), Error> {
    let id = MaterialId::generate(cx.random());
    let backing = make(kms, key.purpose.spec(), cx.random()).await?;
    cx.note("keyMaterialId", id.to_string());
    let rotate = |key: &mut Key| {
        key.rotate(id.clone(), cx.now(), RotationKind::OnDemand);
        key.sealed = Some(store::seal(cx, key, &backing)?);
        Ok::<_, Error>(())
    };
    let mut after = Key::clone(key);
    rotate(&mut after)?;
    cx.write(async |tx| {
        store::keep_material(tx, key);
        store::update_key(tx, key, &after);
        announce(tx, cx.random(), cx.now(), &after, on_demand(key, &after));
        store::tell_related(tx, &after, |related| {
            rotate(related).map_err(|_| StoreError::Conflict)
        })
        .await
    })
    .await
    .map_err(Error::Store)
}

/// Rotates a key, and its related keys with it, to the material that was
/// imported for that into each of them.
async fn rotate_to_imported(cx: &Cx, key: &Permit<Arc<Key>>) -> Result<(), Error> {
    let mut after = Key::clone(key);
    after.rotate_to_imported(cx.now())?;
    cx.note("keyMaterialId", after.material.to_string());
    let related = store::all_related(cx, key).await?;
    for related in &related {
        if related.pending_here() != Some(&after.material) {
            return Err(Error::NothingToRotateTo { arn: related.arn() });
        }
    }
    cx.write(async |tx| {
        store::keep_material(tx, key);
        store::take_material(tx, &mut after).await?;
        store::update_key(tx, key, &after);
        announce(tx, cx.random(), cx.now(), &after, on_demand(key, &after));
        for before in &related {
            let mut after = Key::clone(before);
            after.rotate_to_imported(cx.now())?;
            store::keep_material(tx, before);
            store::take_material(tx, &mut after).await?;
            store::replace_key(tx, before, &after);
        }
        Ok::<_, Error>(())
    })
    .await
}

/// Lists the rotations of a key, or all of its materials, the oldest first.
///
/// # Errors
///
/// [`Error::InvalidMarker`], [`Error::Limit`], [`Error::CannotRotate`].
pub async fn list_key_rotations(
    _kms: &Kms,
    cx: &Cx,
    input: ListKeyRotationsInput,
) -> Result<ListKeyRotationsOutput, Error> {
    let size = page::size(input.limit, ROTATIONS_PAGE)?;
    let after = page::after(LIST, input.marker.as_deref(), |text| text.parse::<usize>().ok())?;
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    if key.purpose.family() != Family::Symmetric || key.custody.is_some() {
        return Err(Error::CannotRotate { arn: key.arn() });
    }
    let pending = match &key.pending {
        Some(pending) => pending_state(cx, &key, &pending.material).await?,
        None => KeyMaterialState::PendingRotation,
    };
    let all = input.include_key_material == Some(IncludeKeyMaterial::AllKeyMaterial);
    let mut generations = key.generations();
    generations.extend(key.pending.clone());
    let listed = generations
        .iter()
        .enumerate()
        .filter(|(_, generation)| all || generation.rotated.is_some());
    let (page, more) = page::cut(listed, size, |(at, _)| after.is_none_or(|after| *at > after));
    let last = page.last().filter(|_| more).map(|(at, _)| at.to_string());
    Ok(ListKeyRotationsOutput {
        next_marker: page::marker(LIST, last.as_deref()),
        truncated: Some(more),
        rotations: Some(
            page.iter()
                .map(|(_, generation)| entry(&key, generation, pending))
                .collect(),
        ),
    })
}

/// How it stands with a material that a key can rotate to: whether all related
/// keys have it.
///
/// Source: KMS API Reference, `RotationsListEntry`, `KeyMaterialState`.
async fn pending_state(cx: &Cx, key: &Key, id: &MaterialId) -> Result<KeyMaterialState, Error> {
    let related = store::all_related(cx, key).await?;
    let mut everyone = related.iter().map(|related| &**related).chain([key]);
    Ok(if everyone.all(|key| key.pending_here() == Some(id)) {
        KeyMaterialState::PendingRotation
    } else {
        KeyMaterialState::PendingMultiRegionImportAndRotation
    })
}

/// `pending` is the state of a material that the key did not rotate to yet.
fn entry(key: &Key, generation: &Generation, pending: KeyMaterialState) -> RotationsListEntry {
    let state = if generation.material == key.material {
        KeyMaterialState::Current
    } else if key.pending.as_ref() == Some(generation) {
        pending
    } else {
        KeyMaterialState::NonCurrent
    };
    let import = generation.import.as_ref();
    let here = import.filter(|import| import.present);
    RotationsListEntry {
        key_id: Some(key.id.to_string()),
        key_material_id: Some(generation.material.to_string()),
        key_material_state: Some(state),
        rotation_date: generation.rotated.map(|rotated| rotated.at),
        rotation_type: generation.rotated.map(|rotated| match rotated.kind {
            RotationKind::Automatic => RotationType::Automatic,
            RotationKind::OnDemand => RotationType::OnDemand,
        }),
        key_material_description: import.and_then(|import| import.description.clone()),
        import_state: import.map(|import| match import.present {
            true => ImportState::Imported,
            false => ImportState::PendingImport,
        }),
        expiration_model: here.map(|import| match import.expires {
            Some(_) => ExpirationModelType::KeyMaterialExpires,
            None => ExpirationModelType::KeyMaterialDoesNotExpire,
        }),
        valid_to: generation.expires(),
    }
}
